#include "worker/host/probe_mode.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "plugins/loader/loaded_plugin.hpp"
#include "worker/host/manifest.hpp"
#include "worker/host/setup.hpp"

namespace retire::host {
namespace {

constexpr std::uint32_t kSetupMax = 16u << 20;

bool read_exactly(int from, char* to, std::size_t size) {
  while (size > 0) {
    const ssize_t got = read(from, to, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

bool write_all(int to, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote = write(to, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

bool read_setup(int from, Setup& setup) {
  std::uint32_t size = 0;
  char head[sizeof size];
  if (!read_exactly(from, head, sizeof head)) return false;
  std::memcpy(&size, head, sizeof size);
  if (size > kSetupMax) return false;
  std::string body(size, '\0');
  return read_exactly(from, body.data(), size) && decode_setup(body, setup);
}

}  // namespace

int probe_plugin_file(const std::string& file, int setup_from, int out) {
  Setup told;
  if (setup_from >= 0 && !read_setup(setup_from, told)) return 1;
  const Result<LoadedPlugin> plugin = LoadedPlugin::open(file);
  if (!plugin.ok()) return write_all(out, encode_refusal(plugin.error().detail)) ? 0 : 1;

  rc_setup setup{};
  setup.size_bytes = sizeof setup;
  setup.device = {reinterpret_cast<const std::uint8_t*>(told.device.data()), told.device.size()};
  setup.settings = {reinterpret_cast<const std::uint8_t*>(told.settings.data()), told.settings.size()};
  Manifest manifest{plugin.value().name(), plugin.value().version(), {}};
  for (const HandlerInfo& info : plugin.value().handlers()) {
    const Result<HandlerInstance> made = plugin.value().make(info.name, setup);
    manifest.handlers.push_back({info, made.ok() ? std::string() : made.error().detail});
  }
  return write_all(out, encode_manifest(manifest)) ? 0 : 1;
}

}  // namespace retire::host
