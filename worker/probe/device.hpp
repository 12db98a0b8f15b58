// The whole capability record of this machine, measured, with what the user knows better.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/model/capabilities.hpp"
#include "worker/probe/platform.hpp"

namespace retire::probe {

struct Overrides {
  std::string role;
  std::string platform;
  std::optional<std::uint32_t> cpu_count;
  std::optional<double> memory_gb;
  std::optional<double> storage_gb;
  std::optional<bool> gpu;
  std::optional<bool> internet;
  std::optional<std::uint32_t> slots;
  std::vector<std::string> tags;  // beside the measured ones
  Resources resources;            // what tasks may reserve, beside cpus, memory_gb and gpus
};

// Where to measure. `root` and the signs are replaced by tests.
struct Surroundings {
  std::filesystem::path root = "/";
  PlatformSigns signs;
  std::uint32_t allowed_cpus = 1;
  std::filesystem::path data_directory;
};
Surroundings surroundings(std::filesystem::path data_directory);  // the real ones

// Everything but device_id and handlers. Takes milliseconds, sends nothing to anybody.
Capabilities probe_device(const Surroundings& where, const Overrides& overrides);

// "<platform>-<host name>-<8 hex digits>", in the characters a device ID may have. `random` makes it unlike that of
// another machine of the same name.
std::string make_device_id(const std::string& platform, const std::string& host_name, std::uint32_t random);
std::string host_name();

}  // namespace retire::probe
