#include "worker/host/hint.hpp"

#include <cerrno>
#include <cstring>

namespace retire::host {
namespace {

bool says(std::string_view error, int number) { return error.find(std::strerror(number)) != std::string_view::npos; }

}  // namespace

std::string with_hint(std::string_view error, const sandbox::Policy& policy) {
  std::string out(error);
  if (policy.level != sandbox::Level::Strict) return out;
  if (!policy.subprocess && says(error, EPERM)) {
    out += " (at --sandbox strict this plugin starts no programs: its manifest does not ask for needs.subprocess)";
  }
  if (!policy.network && says(error, ENETUNREACH)) {
    out += " (at --sandbox strict this plugin has no network: its manifest does not ask for needs.network)";
  }
  return out;
}

}  // namespace retire::host
