// What a loaded plugin declares: its manifest and its table, together. For a host, which has the plugin loaded anyway.
#pragma once

#include "plugins/loader/loaded_plugin.hpp"
#include "plugins/manifest/manifest.hpp"

namespace retire::host {

// `image`: descriptor of the bytes that were loaded. Errors: PluginRefused, naming the file and what is wrong.
Result<PluginManifest> read_declared(const LoadedPlugin& plugin, int image);
// The manifest alone, of a file that has not been loaded; all defaults when it has none. Errors: the same.
Result<PluginManifest> read_declared(const std::string& file, int image);

}  // namespace retire::host
