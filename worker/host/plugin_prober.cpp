#include "worker/host/plugin_prober.hpp"

#include <chrono>

#include "worker/host/one_shot.hpp"

namespace retire::host {
namespace {

constexpr std::size_t kManifestMax = std::size_t{64} << 20;

// What a host in one of its modes says of the plugin. Errors: as probe_plugin().
Result<Manifest> ask(const std::string& program, const char* mode, const std::string& plugin_file,
                     const std::string& message, sandbox::Seats& seats, Duration timeout,
                     const OneShotOptions& options) {
  const Result<Said> ran = run_once(program, {mode, plugin_file}, seats, message, timeout, kManifestMax, options);
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

}  // namespace

Result<Manifest> probe_plugin(const std::string& program, const PluginImage& image, const Setup& setup,
                              Duration timeout, sandbox::Seats& seats, int stop) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  OneShotOptions options{image.descriptor(), stop};
  if (seats.config().level == sandbox::Level::Strict) {
    const Result<Manifest> needs = ask(program, "--terms", image.file(), "", seats, timeout, options);
    if (!needs.ok()) return needs;
    options.terms = needs.value().terms;
  }
  return ask(program, "--probe", image.file(), encode_setup(setup), seats,
             std::chrono::duration_cast<Duration>(until - std::chrono::steady_clock::now()), options);
}

}  // namespace retire::host
