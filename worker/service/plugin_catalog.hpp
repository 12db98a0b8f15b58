// What lies in the plugin directories, and what of it was found sound: kept up to date by looking again.
//
// A file that has not changed is not read again. A new or changed one is checked (trust.hpp), copied (image.hpp) and
// probed in a process of its own. Threads: one at a time.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "plugins/signature/key.hpp"
#include "worker/host/plugin.hpp"
#include "worker/host/setup.hpp"
#include "worker/sandbox/seats.hpp"

namespace retire::worker {

struct PluginCatalogConfig {
  std::vector<std::filesystem::path> directories;  // the last one is the installed one, which may be missing
  std::string handler_host;
  host::Setup setup;
  std::shared_ptr<sandbox::Seats> seats;  // not null
  std::vector<PublicKey> keys{};          // one of these must have signed a plugin; none: nobody need have
  std::vector<std::string> writable{};    // directories that handlers may write to
  bool paths_bind = false;                // they may write nowhere else
  Duration probe_timeout = std::chrono::seconds(10);
};

// A file that looks like a plugin. Both at once: its replacement was refused, and the one before stays in use.
struct PluginFile {
  std::string path;
  host::PluginPtr plugin;  // null: not in use
  std::string refusal;     // one line, naming the file; empty: none
};

class PluginCatalog {
 public:
  explicit PluginCatalog(PluginCatalogConfig config) : config_(std::move(config)) {}

  // For the first time. Errors: Configuration for a directory that cannot be read, unless it is the installed one.
  Status open();
  // Looks again; true when something is different. It ends early when the descriptor `stop` becomes readable.
  //
  // Of a directory with too many files those in use come first, then the others by name; of the rest one entry tells.
  // A file that is gone, or not to be trusted any more, is in use no longer. One that is being written stays what it
  // was until it is complete, and one whose new content is refused stays in use as it was before.
  bool refresh(int stop = -1);

  // By directory, then by name.
  const std::vector<PluginFile>& files() const { return files_; }
  // Directories that cannot be read, and why: a line each.
  const std::vector<std::string>& notes() const { return notes_; }
  // Something is on its way: look again soon.
  bool unsettled() const { return unsettled_; }
  const PluginCatalogConfig& config() const { return config_; }

 private:
  struct Known {
    std::optional<FileState> state;  // none: to be read again whatever it looks like
    host::PluginPtr plugin;
    std::string refusal;
    // The bytes that were last probed and refused, and why: told in the same words if they are looked at again, though
    // another probe may die with other last words.
    struct Refused {
      std::string hash;
      std::string why;
    };
    std::optional<Refused> refused;
  };
  void look_at(const std::filesystem::path& directory, const std::filesystem::path& file, Known& known, int stop);
  void take(const std::filesystem::path& file, Known& known, int stop);
  Status check_signature(const std::filesystem::path& file, const std::string& hash) const;
  Status check_paths(const std::string& file, const host::Manifest& manifest) const;

  PluginCatalogConfig config_;
  std::map<std::string, Known> known_;  // by path
  std::vector<PluginFile> files_;
  std::vector<std::string> notes_;
  bool unsettled_ = false;
};

}  // namespace retire::worker
