#include "worker/host/declared.hpp"

#include <utility>
#include <vector>

namespace retire::host {

Result<PluginManifest> read_declared(const LoadedPlugin& plugin, int image) {
  const std::string file = plugin.file();
  const auto refused = [&](const Error& error) {
    const bool names_it = error.detail.find(file) != std::string::npos;
    return Error{ErrorCode::PluginRefused, names_it ? error.detail : file + ": " + error.detail};
  };
  const Result<std::string> text = read_manifest_text(image, file);
  if (!text.ok()) return refused(text.error());
  PluginManifest manifest;
  if (!text.value().empty()) {
    Result<PluginManifest> parsed = parse_manifest(text.value());
    if (!parsed.ok()) return refused(parsed.error());
    manifest = std::move(parsed).value();
  }
  std::vector<DeclaredHandler> handlers;
  for (const HandlerInfo& info : plugin.handlers()) handlers.push_back({info.name, info.payload_schema});
  Result<PluginManifest> joined = join_table(std::move(manifest), plugin.name(), plugin.version(), handlers);
  if (!joined.ok()) return refused(joined.error());
  return joined;
}

}  // namespace retire::host
