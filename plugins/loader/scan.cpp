#include "plugins/loader/scan.hpp"

#include <algorithm>
#include <system_error>

namespace retire {

Result<std::vector<std::filesystem::path>> scan_plugins(const std::filesystem::path& directory) {
  std::error_code failed;
  std::vector<std::filesystem::path> found;
  std::filesystem::directory_iterator entry(directory, failed);
  const std::filesystem::directory_iterator end;
  for (; !failed && entry != end; entry.increment(failed)) {
    const std::filesystem::path& path = entry->path();
    if (path.extension() != ".so" || path.filename().native().front() == '.') continue;
    if (found.size() == kPluginsPerDirectoryMax) {
      return Error{ErrorCode::TooLarge,
                   directory.string() + ": more than " + std::to_string(kPluginsPerDirectoryMax) + " plugins"};
    }
    found.push_back(path);
  }
  if (failed) {
    const bool missing = failed == std::errc::no_such_file_or_directory;
    return Error{missing ? ErrorCode::PluginNotFound : ErrorCode::Io, directory.string() + ": " + failed.message()};
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace retire
