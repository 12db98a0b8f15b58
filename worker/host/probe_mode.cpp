#include "worker/host/probe_mode.hpp"

#include <cstdint>
#include <string>

#include "plugins/loader/loaded_plugin.hpp"
#include "worker/host/declared.hpp"
#include "worker/host/hint.hpp"
#include "worker/host/manifest.hpp"
#include "worker/host/message.hpp"
#include "worker/host/setup.hpp"

namespace retire::host {
namespace {

constexpr std::uint32_t kSetupMax = 16u << 20;

sandbox::Terms terms_of(const PluginManifest& manifest) {
  const PluginManifest::Limits& own = manifest.limits;
  return {manifest.needs.network,
          manifest.needs.subprocess,
          {own.memory_bytes.value_or(0), own.file_bytes.value_or(0), own.open_files.value_or(0),
           own.processes.value_or(0), own.cpu_seconds.value_or(0)}};
}

bool read_setup(int from, Setup& setup) {
  std::string body;
  return read_message(from, kSetupMax, body) && decode_setup(body, setup);
}

}  // namespace

int probe_plugin_file(const std::string& file, int image, int setup_from, int out, const sandbox::Policy& policy) {
  Setup told;
  if (setup_from >= 0 && !read_setup(setup_from, told)) return 1;
  const Result<LoadedPlugin> plugin = LoadedPlugin::open(file, "/proc/self/fd/" + std::to_string(image));
  if (!plugin.ok()) return write_all(out, encode_refusal(plugin.error().detail)) ? 0 : 1;
  const Result<PluginManifest> declared = read_declared(plugin.value(), image);
  if (!declared.ok()) return write_all(out, encode_refusal(declared.error().detail)) ? 0 : 1;

  rc_setup setup{};
  setup.size_bytes = sizeof setup;
  setup.device = {reinterpret_cast<const std::uint8_t*>(told.device.data()), told.device.size()};
  setup.settings = {reinterpret_cast<const std::uint8_t*>(told.settings.data()), told.settings.size()};
  Manifest manifest{plugin.value().name(), plugin.value().version(), {}};
  for (const HandlerInfo& info : plugin.value().handlers()) {
    const Result<HandlerInstance> made = plugin.value().make(info.name, setup);
    manifest.handlers.push_back({info, made.ok() ? std::string() : with_hint(made.error().detail, policy)});
  }
  manifest.terms = terms_of(declared.value());
  manifest.paths = declared.value().needs.paths;
  return write_all(out, encode_manifest(manifest)) ? 0 : 1;
}

int read_plugin_terms(const std::string& file, int image, int out) {
  const Result<PluginManifest> declared = read_declared(file, image);
  if (!declared.ok()) return write_all(out, encode_refusal(declared.error().detail)) ? 0 : 1;
  Manifest manifest;
  manifest.terms = terms_of(declared.value());
  return write_all(out, encode_manifest(manifest)) ? 0 : 1;
}

}  // namespace retire::host
