#include "worker/host/declared.hpp"

#include <utility>
#include <vector>

namespace retire::host {
namespace {

Error refused(const std::string& file, const Error& error) {
  const bool names_it = error.detail.find(file) != std::string::npos;
  return {ErrorCode::PluginRefused, names_it ? error.detail : file + ": " + error.detail};
}

}  // namespace

Result<PluginManifest> read_declared(const std::string& file, int image) {
  const Result<std::string> text = read_manifest_text(image, file);
  if (!text.ok()) return refused(file, text.error());
  if (text.value().empty()) return PluginManifest{};
  Result<PluginManifest> parsed = parse_manifest(text.value());
  if (!parsed.ok()) return refused(file, parsed.error());
  return parsed;
}

Result<PluginManifest> read_declared(const LoadedPlugin& plugin, int image) {
  Result<PluginManifest> manifest = read_declared(plugin.file(), image);
  if (!manifest.ok()) return manifest;
  std::vector<DeclaredHandler> handlers;
  for (const HandlerInfo& info : plugin.handlers()) handlers.push_back({info.name, info.payload_schema});
  Result<PluginManifest> joined = join_table(std::move(manifest).value(), plugin.name(), plugin.version(), handlers);
  if (!joined.ok()) return refused(plugin.file(), joined.error());
  return joined;
}

}  // namespace retire::host
