#include "handlers/system_info/measure.hpp"

#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>

namespace retire::handlers {
namespace {

std::string without_quotes(std::string text) {
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front()) {
    return text.substr(1, text.size() - 2);
  }
  return text;
}

// The value of KEY=value in a file of such lines; empty when it is not there.
std::string property(const std::filesystem::path& file, std::string_view key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == '=') {
      return without_quotes(line.substr(key.size() + 1));
    }
  }
  return {};
}

}  // namespace

std::optional<std::array<double, 3>> read_load(const SystemPaths& paths) {
  std::array<double, 3> load{};
  std::ifstream in(paths.root / "proc/loadavg");
  if (in >> load[0] >> load[1] >> load[2]) return load;
  struct sysinfo info {};
  if (sysinfo(&info) != 0) return std::nullopt;
  for (std::size_t i = 0; i < load.size(); ++i) load[i] = static_cast<double>(info.loads[i]) / 65536.0;
  return load;
}

std::optional<double> read_free_memory(const SystemPaths& paths) {
  std::ifstream in(paths.root / "proc/meminfo");
  std::string line;
  while (std::getline(in, line)) {
    constexpr std::string_view kKey = "MemAvailable:";
    if (!line.starts_with(kKey)) continue;
    std::istringstream rest(line.substr(kKey.size()));
    double kib = 0;
    if (rest >> kib) return kib * 1024;
  }
  struct sysinfo info {};  // an old kernel: free and buffers, without the cache
  if (sysinfo(&info) != 0) return std::nullopt;
  return static_cast<double>(info.freeram + info.bufferram) * static_cast<double>(info.mem_unit);
}

std::optional<double> read_free_storage(const SystemPaths& paths) {
  std::string place = paths.storage;
  if (place.empty()) {
    const char* home = std::getenv("HOME");
    place = home != nullptr && *home == '/' ? home : "/";
  }
  struct statvfs info {};
  if (statvfs(place.c_str(), &info) != 0) return std::nullopt;
  return static_cast<double>(info.f_bavail) * static_cast<double>(info.f_frsize);
}

std::optional<double> read_uptime(const SystemPaths& paths) {
  double seconds = 0;
  std::ifstream in(paths.root / "proc/uptime");
  if (in >> seconds) return seconds;
  struct sysinfo info {};
  if (sysinfo(&info) != 0) return std::nullopt;
  return static_cast<double>(info.uptime);
}

OsInfo read_os(const SystemPaths& paths, const std::map<std::string, std::string, std::less<>>& android) {
  OsInfo os;
  utsname kernel{};
  if (uname(&kernel) == 0) {
    os.kernel = std::string(kernel.sysname) + " " + kernel.release;
    os.arch = kernel.machine;
    os.hostname = kernel.nodename;
  }
  if (const auto version = android.find("ro.build.version.release"); version != android.end()) {
    os.name = "Android";
    os.version = version->second;
    return os;
  }
  const std::filesystem::path release = paths.root / "etc/os-release";
  os.name = property(release, "NAME");
  os.version = property(release, "VERSION_ID");
  if (os.name.empty()) os.name = kernel.sysname;
  return os;
}

}  // namespace retire::handlers
