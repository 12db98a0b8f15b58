#include "handlers/command/environment.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

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
  std::vector<std::string> environment = {
      inherited("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), inherited("HOME", "/"),
      inherited("LANG", "C.UTF-8")};
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

std::string find_program(std::string_view name, std::string_view path) {
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    const std::string_view directory = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (!directory.starts_with('/')) continue;  // never from wherever we happen to stand
    std::string file(directory);
    file.append("/").append(name);
    struct stat info {};
    if (stat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

}  // namespace retire::handlers
