// What there is to say of a plugin file: a document, made without running any of its code in this process.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/json/json.hpp"
#include "plugins/signature/signature.hpp"

namespace retire::cli {

// Where the installed parts are, relative to this program.
struct PluginPlaces {
  std::filesystem::path plugins;  // ../lib/retire-cluster/plugins
  std::filesystem::path host;     // ../libexec/retire-cluster/retire-cluster-handler-host
};
PluginPlaces find_plugin_places();

// {"file", "refused": null or why, "name", "version", "size_bytes", "sha256", "signature": {"state", "key_id", "why"},
// "needs", "limits", "handlers": [{"task_type", "description", "off_by_default", "cannot_work_here": null or why,
// "payload_schema"}]}
//
// A file that a worker would refuse is not loaded; what is known of it all the same is told. The others are loaded by a
// handler host in probe mode, in its sandbox, within 10 s. `signature.state`: "none", "unverified" (no key was given),
// "valid", "refused". Never an error: what is wrong stands in "refused".
json::Json report_plugin(const std::filesystem::path& file, const PluginPlaces& places,
                         const std::vector<PublicKey>& keys);

// Each of the *.so files of a directory, by name. Errors: those of scan_plugins().
Result<std::vector<json::Json>> report_directory(const std::filesystem::path& directory, const PluginPlaces& places,
                                                 const std::vector<PublicKey>& keys);

}  // namespace retire::cli
