#include "worker/service/plugin_catalog.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <utility>

#include "common/base/assert.hpp"
#include "plugins/loader/scan.hpp"
#include "plugins/loader/trust.hpp"
#include "plugins/signature/signature.hpp"
#include "worker/host/plugin_prober.hpp"

namespace retire::worker {
namespace {

// Within so short a time of a change another one may leave the same times behind, so the state does not tell them
// apart.
constexpr std::chrono::nanoseconds kStateIsVague = std::chrono::milliseconds(100);

bool is_vague(const FileState& state) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto age = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count() - state.changed_ns;
  return age > -kStateIsVague.count() && age < kStateIsVague.count();
}

bool is_readable(int descriptor) {
  pollfd wanted{descriptor, POLLIN, 0};
  return descriptor >= 0 && poll(&wanted, 1, 0) > 0;
}

bool same(const std::vector<PluginFile>& a, const std::vector<PluginFile>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const PluginFile& one, const PluginFile& other) {
    return one.path == other.path && one.plugin == other.plugin && one.refusal == other.refusal;
  });
}

}  // namespace

Status PluginCatalog::open() {
  for (std::size_t i = 0; i + 1 < config_.directories.size(); ++i) {
    const auto files = scan_plugins(config_.directories[i]);
    if (!files.ok()) return Error{ErrorCode::Configuration, "--plugin-dir " + files.error().detail};
  }
  refresh();
  return ok_status();
}

bool PluginCatalog::refresh(int stop) {
  std::vector<PluginFile> files;
  std::vector<std::string> notes;
  std::map<std::string, Known> known;
  std::set<std::string> in_use;
  for (const auto& [path, file] : known_) {
    if (file.plugin) in_use.insert(path);
  }
  unsettled_ = false;
  for (const std::filesystem::path& directory : config_.directories) {
    const auto found = scan_plugins(directory, in_use);
    if (!found.ok()) {
      const bool installed = &directory == &config_.directories.back();
      notes.push_back((installed ? "no installed plugins: " : "--plugin-dir ") + found.error().detail);
      continue;
    }
    for (const std::filesystem::path& file : found.value().files) {
      if (is_readable(stop)) return false;
      if (known.contains(file)) continue;  // a directory that was named twice
      if (auto before = known_.extract(file.string())) known.insert(std::move(before));
      Known& entry = known[file];
      look_at(directory, file, entry, stop);
      if (!entry.plugin && entry.refusal.empty()) {  // it went in the meantime
        known.erase(file);
        continue;
      }
      files.push_back({file, entry.plugin, entry.refusal});
    }
    if (found.value().beyond > 0) {
      files.push_back({found.value().first_beyond, nullptr, describe_beyond(found.value())});
    }
  }
  known_ = std::move(known);
  const bool changed = !same(files_, files) || notes_ != notes;
  files_ = std::move(files);
  notes_ = std::move(notes);
  return changed;
}

void PluginCatalog::look_at(const std::filesystem::path& directory, const std::filesystem::path& file, Known& known,
                            int stop) {
  if (const Status trusted = check_trusted_in(directory, file); !trusted.ok()) {
    known = {};
    std::error_code gone;
    if (trusted.error().code != ErrorCode::PluginNotFound || std::filesystem::is_symlink(file, gone)) {
      known.refusal = file.string() + " is refused: " + trusted.error().detail;
    }
    return;
  }
  const Result<FileState> state = state_of(file);
  if (state.ok() && known.state == state.value() &&
      (!known.plugin || check_signature(file, known.plugin->image.hash()).ok())) {
    return;
  }
  take(file, known, stop);
}

// Signatures may come, change and go by themselves, so the bytes in use are held against theirs each time.
Status PluginCatalog::check_signature(const std::filesystem::path& file, const std::string& hash) const {
  if (config_.keys.empty()) return ok_status();
  const std::optional<Digest> digest = digest_from_hex(hash);
  RC_ASSERT(digest);
  const Result<PublicKey> key = verify_plugin(file, *digest, config_.keys);
  return key.ok() ? ok_status() : Status(key.error());
}

// What it says that it writes to must be among what handlers may write to here.
Status PluginCatalog::check_paths(const std::string& file, const host::Manifest& manifest) const {
  if (!config_.paths_bind) return ok_status();
  for (const std::string& path : manifest.paths) {
    const auto is_within = [&](const std::string& allowed) {
      const std::filesystem::path wanted(path);
      const std::filesystem::path whole(allowed);
      return std::mismatch(whole.begin(), whole.end(), wanted.begin(), wanted.end()).first == whole.end();
    };
    if (std::none_of(config_.writable.begin(), config_.writable.end(), is_within)) {
      return Error{ErrorCode::PluginRefused,
                   file + ": it needs the directory " + path + "; give the worker --allow-path " + path};
    }
  }
  return ok_status();
}

void PluginCatalog::take(const std::filesystem::path& file, Known& known, int stop) {
  const std::string path = file;
  const auto refuse = [&](std::string why) {
    if (known.plugin) why += "; the one that was there before stays in use";
    known.refusal = std::move(why);
  };
  known.state.reset();
  Result<PluginImage> image =
      PluginImage::read(file, [&](int descriptor) { return check_trusted_open(file, descriptor); });
  if (!image.ok()) {
    switch (image.error().code) {
      case ErrorCode::PluginNotFound: known = {}; break;
      case ErrorCode::Busy:
        unsettled_ = true;
        if (!known.plugin) known.refusal = image.error().detail + "; it is taken when it is complete";
        break;
      default: refuse(image.error().detail); break;
    }
    return;
  }
  if (const Status is_signed = check_signature(file, image.value().hash()); !is_signed.ok()) {
    // These very bytes are vouched for no longer; those of before were, and may stay until the signature of the new
    // ones has come too.
    if (known.plugin && known.plugin->image.hash() == image.value().hash()) known = {};
    refuse(is_signed.error().detail);
    return;
  }
  const FileState state = image.value().state();
  const bool vague = is_vague(state);
  if (known.plugin && known.plugin->image.hash() == image.value().hash()) {
    known.refusal.clear();
    if (!vague) known.state = state;
    return;
  }
  if (known.refused && known.refused->hash == image.value().hash()) {  // said of these bytes once, in the same words
    refuse(known.refused->why);
    if (!vague) known.state = state;
    return;
  }
  const Result<host::Manifest> manifest = host::probe_plugin(config_.handler_host, image.value(), config_.setup,
                                                             config_.probe_timeout, *config_.seats, stop);
  const Status fits = manifest.ok() ? check_paths(path, manifest.value()) : Status(manifest.error());
  if (!fits.ok() && manifest.ok()) {
    refuse(fits.error().detail);
    if (!vague) known.state = state;
    return;
  }
  if (!manifest.ok()) {
    if (manifest.error().code == ErrorCode::Busy) return;  // stopped
    refuse(manifest.error().detail);
    // What was no fault of the file's is tried again.
    if (manifest.error().code != ErrorCode::PluginRefused) return;
    known.refused = {image.value().hash(), manifest.error().detail};
    if (!vague) known.state = state;
    return;
  }
  known.plugin =
      std::make_shared<const host::Plugin>(host::Plugin{std::move(image).value(), std::move(manifest).value()});
  known.refusal.clear();
  known.refused.reset();
  if (!vague) known.state = state;
}

}  // namespace retire::worker
