#include "handlers/command/environment.hpp"

#include <algorithm>
#include <cstdlib>

#include "handlers/support/find_program.hpp"

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

constexpr std::size_t kVariablesMax = 1024;

std::string inherited(const char* name, const char* usual) {
  const char* value = std::getenv(name);
  return std::string(name) + '=' + (value != nullptr && *value != '\0' ? value : usual);
}

}  // namespace

std::vector<std::string> make_environment(const rc::Fields* wanted) {
  std::vector<std::string> environment = {"PATH=" + own_path(), inherited("HOME", "/"), inherited("LANG", "C.UTF-8")};
  // Where a locked-in handler may make temporary files; without it programs would try /tmp.
  if (std::getenv("TMPDIR") != nullptr) environment.push_back(inherited("TMPDIR", "/tmp"));
  if (wanted == nullptr) return environment;
  if (wanted->size() > kVariablesMax) wanted->refuse("", "must have at most 1024 variables");
  for (std::uint32_t i = 0; i < wanted->size(); ++i) {
    const std::string_view name = wanted->key_at(i);
    if (name.empty() || name.find('=') != name.npos || name.find('\0') != name.npos) {
      wanted->refuse("", "must have names without '=' and NUL, and none that is empty");
    }
    const msgpack::object& value = wanted->value_at(i);
    if (value.type != msgpack::type::STR) wanted->refuse(name, "must be a string", value);
    const std::string_view text(value.via.str.ptr, value.via.str.size);
    if (text.find('\0') != text.npos) wanted->refuse(name, "must not hold a NUL");

    std::string entry(name);
    entry.append("=").append(text);
    const auto same = std::find_if(environment.begin(), environment.end(), [&](const std::string& other) {
      return other.size() > name.size() && other[name.size()] == '=' && other.starts_with(name);
    });
    if (same != environment.end()) {
      *same = std::move(entry);
    } else {
      environment.push_back(std::move(entry));
    }
  }
  return environment;
}

std::string_view lookup(const std::vector<std::string>& environment, std::string_view name) {
  for (const std::string& entry : environment) {
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) {
      return std::string_view(entry).substr(name.size() + 1);
    }
  }
  return {};
}

}  // namespace retire::handlers
