#include "worker/probe/platform.hpp"

#if !defined(_WIN32)
#include <sys/utsname.h>
#endif

#include <cstdlib>
#include <system_error>

namespace retire::probe {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string kernel_arch() {
#if defined(_WIN32)
  return sizeof(void*) == 8 ? "x86_64" : "x86";
#else
  utsname name{};
  return uname(&name) == 0 ? name.machine : "";
#endif
}

}  // namespace

PlatformSigns platform_signs() { return {variable("PREFIX"), variable("ANDROID_ROOT")}; }

Platform probe_platform(const std::filesystem::path& root, const PlatformSigns& signs) {
  Platform out;
  out.arch = kernel_arch();
#if defined(_WIN32)
  out.name = "windows";
#elif defined(__APPLE__)
  out.name = "darwin";
#else
  out.termux = signs.prefix.find("com.termux") != std::string::npos;
  std::error_code ignored;
  // Android's property file is where `getprop` gets its answers; either sign is enough.
  const bool android = out.termux || !signs.android_root.empty() ||
                       std::filesystem::exists(root / "system/build.prop", ignored) ||
                       std::filesystem::exists(root / "system/bin/getprop", ignored);
  out.name = android ? "android" : "linux";
#endif
  return out;
}

}  // namespace retire::probe
