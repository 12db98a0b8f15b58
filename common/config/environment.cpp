#include "common/config/environment.hpp"

#include <unistd.h>

namespace retire::config {

Environment process_environment() {
  Environment out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) out.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

std::string_view variable(const Environment& environment, std::string_view name) {
  const auto found = environment.find(name);
  return found == environment.end() ? std::string_view() : std::string_view(found->second);
}

std::string variable_of_flag(std::string_view flag) {
  std::string out = "RETIRE_CLUSTER_";
  for (const char c : flag) {
    if (c == '-') {
      out += '_';
    } else {
      out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
  }
  return out;
}

std::string home_directory(const Environment& environment) {
  if (const std::string_view home = variable(environment, "RETIRE_CLUSTER_HOME"); !home.empty()) {
    return std::string(home);
  }
  const std::string_view user = variable(environment, "HOME");
  return (user.empty() ? std::string(".") : std::string(user)) + "/.retire-cluster";
}

std::string default_address(const Environment& environment) {
  const std::string_view address = variable(environment, "RETIRE_CLUSTER_ADDRESS");
  return address.empty() ? "127.0.0.1:8080" : std::string(address);
}

}  // namespace retire::config
