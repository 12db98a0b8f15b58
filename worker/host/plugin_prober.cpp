#include "worker/host/plugin_prober.hpp"

#include "worker/host/one_shot.hpp"

namespace retire::host {
namespace {

constexpr std::size_t kManifestMax = std::size_t{64} << 20;

}  // namespace

Result<Manifest> probe_plugin(const std::string& program, const PluginImage& image, const Setup& setup,
                              Duration timeout, sandbox::Seats& seats, int stop) {
  const std::string& plugin_file = image.file();
  const Result<Said> ran = run_once(program, {"--probe", plugin_file}, seats, encode_setup(setup), timeout,
                                    kManifestMax, {image.descriptor(), stop});
  if (!ran.ok()) return ran.error();
  const Said& said = ran.value();
  const auto refuse = [&](std::string why) {
    if (!said.last_line.empty()) why += "; its last line of output: " + said.last_line;
    return Error{ErrorCode::PluginRefused, plugin_file + ": " + why};
  };
  if (said.stopped) return Error{ErrorCode::Busy, plugin_file + ": the worker stops"};
  if (said.too_late) return refuse("did not say what it offers within the time allowed");
  if (said.too_much) return refuse("its manifest is too large");
  if (said.bytes.empty()) return refuse("died while it was loaded: " + said.how_it_ended);
  Result<Manifest> read = decode_manifest(said.bytes);
  if (!read.ok()) {
    const std::string& why = read.error().detail;
    const bool names_it = why.find(plugin_file) != std::string::npos;
    return Error{ErrorCode::PluginRefused, names_it ? why : plugin_file + ": " + why};
  }
  return read;
}

}  // namespace retire::host
