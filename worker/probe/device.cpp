#include "worker/probe/device.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "common/model/limits.hpp"
#include "worker/probe/gpu.hpp"
#include "worker/probe/hardware.hpp"
#include "worker/probe/network.hpp"

namespace retire::probe {
namespace {

constexpr double kLowMemoryGb = 2;
constexpr double kHighMemoryGb = 16;
constexpr std::uint32_t kManyCores = 8;

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// To a thousandth, as people read it.
double rounded(double gigabytes) {
  return static_cast<double>(static_cast<std::uint64_t>(gigabytes * 1000 + 0.5)) / 1000;
}

std::string guess_role(const Capabilities& device) {
  if (device.platform == "android") return "mobile";
  return device.cpu_count >= kManyCores ? "compute" : "worker";
}

std::vector<std::string> tags_of(const Capabilities& device, bool termux) {
  std::vector<std::string> tags{device.platform};
  if (!device.arch.empty()) tags.push_back(lower(device.arch));
  if (termux) tags.emplace_back("termux");
  if (device.has_gpu) tags.emplace_back("gpu");
  if (device.memory_total_gb > 0 && device.memory_total_gb < kLowMemoryGb) tags.emplace_back("low_memory");
  if (device.memory_total_gb >= kHighMemoryGb) tags.emplace_back("high_memory");
  if (device.cpu_count >= kManyCores) tags.emplace_back("many_cores");
  return tags;
}

}  // namespace

Surroundings surroundings(std::filesystem::path data_directory) {
  return {"/", platform_signs(), allowed_cpus(), std::move(data_directory)};
}

Capabilities probe_device(const Surroundings& where, const Overrides& overrides) {
  const Platform platform = probe_platform(where.root, where.signs);
  Capabilities device;
  device.platform = overrides.platform.empty() ? platform.name : lower(overrides.platform);
  device.arch = platform.arch.substr(0, kWordBytesMax);
  device.cpu_count = overrides.cpu_count ? *overrides.cpu_count : probe_cpu_count(where.root, where.allowed_cpus);
  device.memory_total_gb = overrides.memory_gb ? *overrides.memory_gb : rounded(probe_memory_gb(where.root));
  device.storage_total_gb =
      overrides.storage_gb ? *overrides.storage_gb : rounded(probe_storage_gb(where.data_directory));
  device.has_gpu = overrides.gpu ? *overrides.gpu : probe_gpu(where.root);
  device.has_internet = overrides.internet ? *overrides.internet : probe_internet(where.root);
  device.role = overrides.role.empty() ? guess_role(device) : overrides.role;
  device.tags = tags_of(device, platform.termux);
  device.tags.insert(device.tags.end(), overrides.tags.begin(), overrides.tags.end());
  std::sort(device.tags.begin(), device.tags.end());
  device.tags.erase(std::unique(device.tags.begin(), device.tags.end()), device.tags.end());
  device.slots = std::clamp(overrides.slots ? *overrides.slots : device.cpu_count, 1u, kSlotsMax);
  device.resources = overrides.resources;
  device.version = RC_VERSION;
  return device;
}

std::string make_device_id(const std::string& platform, const std::string& name, std::uint32_t random) {
  std::array<char, 16> hex{};
  std::snprintf(hex.data(), hex.size(), "-%08x", random);
  std::string id = platform + "-" + name.substr(0, 64);
  for (char& c : id) {
    if (!is_device_id(std::string_view(&c, 1))) c = '-';
  }
  return id.substr(0, kDeviceIdBytesMax - 16) + hex.data();
}

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "device";
  const std::string full = name.data();
  return full.substr(0, full.find('.'));
}

}  // namespace retire::probe
