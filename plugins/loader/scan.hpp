// Which files of a directory look like plugins.
#pragma once

#include <filesystem>
#include <vector>

#include "common/base/result.hpp"

namespace retire {

inline constexpr std::size_t kPluginsPerDirectoryMax = 1024;

// The *.so files of `directory` (not of those below it, and no hidden ones), sorted by name so that every host sees one
// order. Links and anything else of that name are listed too: check_trusted() says why one is refused.
// Errors: PluginNotFound (no such directory), Io (it cannot be read), TooLarge.
Result<std::vector<std::filesystem::path>> scan_plugins(const std::filesystem::path& directory);

}  // namespace retire
