// Which kind of system this is.
#pragma once

#include <filesystem>
#include <string>

namespace retire::probe {

struct Platform {
  std::string name;     // linux, android, windows, darwin
  std::string arch;     // as the kernel says it: x86_64, aarch64, armv7l, …
  bool termux = false;  // Android's terminal
};

// What decides, passed in so that tests can: environment variables, and files below `root`.
struct PlatformSigns {
  std::string prefix;        // $PREFIX
  std::string android_root;  // $ANDROID_ROOT
};

PlatformSigns platform_signs();  // of this process
Platform probe_platform(const std::filesystem::path& root, const PlatformSigns& signs);

}  // namespace retire::probe
