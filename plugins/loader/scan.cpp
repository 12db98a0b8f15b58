#include "plugins/loader/scan.hpp"

#include <algorithm>
#include <iterator>
#include <system_error>
#include <utility>

#include "common/base/assert.hpp"

namespace retire {

Result<FoundPlugins> scan_plugins(const std::filesystem::path& directory, const std::set<std::string>& in_use) {
  std::error_code failed;
  // Who is not in use comes after all who are. No more are held than may be listed, however many there are.
  std::set<std::pair<bool, std::filesystem::path>> first;
  FoundPlugins found;
  const auto leave_out = [&found](const std::filesystem::path& path) {
    if (found.beyond == 0 || path < found.first_beyond) found.first_beyond = path;
    ++found.beyond;
  };
  std::filesystem::directory_iterator entry(directory, failed);
  const std::filesystem::directory_iterator end;
  for (; !failed && entry != end; entry.increment(failed)) {
    const std::filesystem::path& path = entry->path();
    if (path.extension() != ".so" || path.filename().native().front() == '.') continue;
    first.emplace(!in_use.contains(path.native()), path);
    if (first.size() <= kPluginsPerDirectoryMax) continue;
    const auto last = std::prev(first.end());
    leave_out(last->second);
    first.erase(last);
  }
  if (failed) {
    const bool missing = failed == std::errc::no_such_file_or_directory;
    return Error{missing ? ErrorCode::PluginNotFound : ErrorCode::Io, directory.string() + ": " + failed.message()};
  }
  for (const auto& [is_new, path] : first) found.files.push_back(path);
  std::sort(found.files.begin(), found.files.end());
  return found;
}

std::string describe_beyond(const FoundPlugins& found) {
  RC_ASSERT(found.beyond > 0);
  std::string out = found.first_beyond.string() + " is refused";
  if (found.beyond > 1) out += ", one of " + std::to_string(found.beyond) + " too many";
  return out + ": a plugin directory may hold " + std::to_string(kPluginsPerDirectoryMax) +
         " plugins; move the rest to another one";
}

}  // namespace retire
