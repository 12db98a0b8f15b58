// What a device measures of itself at this moment, on Linux and Android.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

namespace retire::handlers {

// Where the system tells about itself; tests name other places.
struct SystemPaths {
  std::filesystem::path root = "/";
  std::string storage;  // a path on the storage that counts; empty: the home directory
};

struct OsInfo {
  std::string name;     // "Debian GNU/Linux", "Android", or the kernel's name
  std::string version;  // "12", "14"; may be empty
  std::string kernel;   // "Linux 6.1.0"
  std::string arch;     // "x86_64"
  std::string hostname;
};

// Left out what the system does not tell (Android hides some files from applications).
std::optional<std::array<double, 3>> read_load(const SystemPaths& paths);  // over 1, 5 and 15 minutes
std::optional<double> read_free_memory(const SystemPaths& paths);          // bytes that programs can still get
std::optional<double> read_free_storage(const SystemPaths& paths);         // bytes that we can still write
std::optional<double> read_uptime(const SystemPaths& paths);               // seconds
// `android`: its properties, empty on other systems.
OsInfo read_os(const SystemPaths& paths, const std::map<std::string, std::string, std::less<>>& android);

}  // namespace retire::handlers
