// Which files of a directory look like plugins.
#pragma once

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "common/base/result.hpp"

namespace retire {

inline constexpr std::size_t kPluginsPerDirectoryMax = 1024;

struct FoundPlugins {
  std::vector<std::filesystem::path> files;  // kPluginsPerDirectoryMax at most, sorted by name
  std::size_t beyond = 0;                    // how many there are besides
  std::filesystem::path first_beyond;        // one of them, if there are any
};

// The *.so files of `directory` (not of those below it, and no hidden ones), sorted by name so that every host sees one
// order. Links and anything else of that name are listed too: check_trusted() says why one is refused. Where there are
// too many, those of `in_use` (paths) come before the others, and each by name.
// Errors: PluginNotFound (no such directory), Io (it cannot be read).
Result<FoundPlugins> scan_plugins(const std::filesystem::path& directory, const std::set<std::string>& in_use = {});

// One line for a person about what is beyond the bound. Requires: found.beyond > 0.
std::string describe_beyond(const FoundPlugins& found);

}  // namespace retire
