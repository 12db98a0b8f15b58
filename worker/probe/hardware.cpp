#include "worker/probe/hardware.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string>
#include <system_error>
#include <thread>

#include "common/sensors/files.hpp"

namespace retire::probe {
namespace {

using sensors::lines_of;
using sensors::read_small_file;
using sensors::words_of;

constexpr double kGigabyte = 1024.0 * 1024 * 1024;

double number(std::string_view text) {
  double value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The first number of a file; negative if there is none ("max").
double first_number(const std::filesystem::path& file) {
  const auto text = read_small_file(file);
  if (!text) return -1;
  const auto words = words_of(lines_of(*text).empty() ? std::string_view{} : lines_of(*text).front());
  return words.empty() ? -1 : number(words.front());
}

// Where the control group of this process lies below the mount of `controller` ("" for version 2).
std::string group_of(const std::filesystem::path& root, std::string_view controller) {
  const auto text = read_small_file(root / "proc/self/cgroup");
  if (!text) return "";
  for (const std::string_view line : lines_of(*text)) {  // "4:memory:/path"
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string_view::npos || second == std::string_view::npos) continue;
    const std::string names = "," + std::string(line.substr(first + 1, second - first - 1)) + ",";
    const bool match =
        controller.empty() ? names == ",," : names.find("," + std::string(controller) + ",") != std::string::npos;
    if (match) return std::string(line.substr(second + 1));
  }
  return "";
}

// The files of a group and of all it lies in: each may have a limit. In a container the group's path may not be
// visible; then its mount is the group itself.
template <class Use>
void for_each_group(const std::filesystem::path& mount, const std::string& group, Use use) {
  use(mount);
  std::filesystem::path at = mount;
  for (const auto& part : std::filesystem::path(group).relative_path()) {
    if (part == "..") return;
    at /= part;
    use(at);
  }
}

}  // namespace

std::uint32_t allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return static_cast<std::uint32_t>(CPU_COUNT(&set));
  return std::thread::hardware_concurrency();  // more processors than the set has room for
}

std::uint32_t probe_cpu_count(const std::filesystem::path& root, std::uint32_t allowed) {
  double limit = std::max(allowed, 1u);
  const auto apply = [&limit](double quota, double period) {
    if (quota > 0 && period > 0) limit = std::min(limit, std::ceil(quota / period));
  };
  for_each_group(root / "sys/fs/cgroup", group_of(root, ""), [&](const std::filesystem::path& group) {
    const auto text = read_small_file(group / "cpu.max");
    if (!text) return;
    const auto words = words_of(lines_of(*text).empty() ? std::string_view{} : lines_of(*text).front());
    if (words.size() == 2) apply(number(words[0]), number(words[1]));
  });
  for_each_group(root / "sys/fs/cgroup/cpu", group_of(root, "cpu"), [&](const std::filesystem::path& group) {
    apply(first_number(group / "cpu.cfs_quota_us"), first_number(group / "cpu.cfs_period_us"));
  });
  return std::max(static_cast<std::uint32_t>(limit), 1u);
}

double probe_memory_gb(const std::filesystem::path& root) {
  double bytes = 0;
  if (const auto text = read_small_file(root / "proc/meminfo")) {
    for (const std::string_view line : lines_of(*text)) {
      const auto words = words_of(line);
      if (words.size() >= 2 && words[0] == "MemTotal:") bytes = std::max(number(words[1]), 0.0) * 1024;
    }
  }
  const auto apply = [&bytes](double limit) {
    if (limit > 0 && (bytes <= 0 || limit < bytes)) bytes = limit;
  };
  for_each_group(root / "sys/fs/cgroup", group_of(root, ""),
                 [&](const std::filesystem::path& group) { apply(first_number(group / "memory.max")); });
  for_each_group(root / "sys/fs/cgroup/memory", group_of(root, "memory"),
                 [&](const std::filesystem::path& group) { apply(first_number(group / "memory.limit_in_bytes")); });
  return bytes / kGigabyte;
}

double probe_storage_gb(const std::filesystem::path& directory) {
  std::error_code failed;
  std::filesystem::path at = std::filesystem::absolute(directory, failed);
  while (!std::filesystem::exists(at, failed) && at.has_parent_path() && at != at.parent_path()) at = at.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(at, failed);
  return failed ? 0 : static_cast<double>(space.capacity) / kGigabyte;
}

}  // namespace retire::probe
