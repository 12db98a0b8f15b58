// A plugin's shared library, and the handlers made from it.
//
// Threads: opening and making may happen on any thread. One HandlerInstance is used from one thread at a time, the same
// for its whole life (see plugin_abi.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "retire_cluster/plugin_abi.h"

namespace retire {

inline constexpr std::size_t kHandlersPerPluginMax = 256;
inline constexpr std::size_t kPluginTextBytesMax = std::size_t{64} * 1024;  // description, schema

// What a plugin says of one of its handlers. Copied, so it outlives the library.
struct HandlerInfo {
  std::string name;  // the task type
  std::string description;
  std::string payload_schema;  // JSON Schema as text, empty when it has none
  bool off_by_default = false;
};

// A handler that is ready to run attempts. Owns the plugin's object, and keeps the library loaded for as long as it
// lives.
class HandlerInstance {
 public:
  HandlerInstance(HandlerInstance&& other) noexcept
      : library_(std::move(other.library_)),
        run_(other.run_),
        destroy_(other.destroy_),
        self_(std::exchange(other.self_, nullptr)) {}
  HandlerInstance& operator=(HandlerInstance&&) = delete;  // would destroy the old object in a moved-from state
  ~HandlerInstance() {
    if (self_ != nullptr) destroy_(self_);
  }

  // Runs one attempt and gives what the handler returned: RC_OK, RC_FAILED, RC_FAILED_PERMANENTLY or RC_CANCELLED; any
  // other number counts as RC_FAILED. The result or error went to `context`. Allocates nothing of its own.
  int run(rc_bytes payload, const rc_context& context) {
    const int outcome = run_(self_, payload, &context);
    return outcome >= RC_OK && outcome <= RC_CANCELLED ? outcome : int{RC_FAILED};
  }

 private:
  friend class LoadedPlugin;
  HandlerInstance(std::shared_ptr<const void> library, const rc_handler& handler, void* self)
      : library_(std::move(library)), run_(handler.run), destroy_(handler.destroy), self_(self) {}

  std::shared_ptr<const void> library_;  // first, so destroyed last: the others point into its code
  int (*run_)(void*, rc_bytes, const rc_context*);
  void (*destroy_)(void*);
  void* self_;
};

// A plugin that was loaded and found sound. Cheap to copy; the library is unloaded when the last copy and the last
// HandlerInstance are gone. (The C++ runtime may keep a library mapped for longer; a process that must be rid of old
// code ends.)
class LoadedPlugin {
 public:
  // Loads the library, which runs its constructors: call check_trusted() first. A relative path is taken from the
  // current directory. As long as a process holds the library of this path it gets the same code again, whatever the
  // file is by then: new code is for a new process (or for after the last instance is gone).
  // Errors: PluginNotFound (no such file), PluginRefused (not a plugin, wrong ABI, a table that makes no sense).
  static Result<LoadedPlugin> open(const std::filesystem::path& file) { return open(file, file); }
  // Loads `from`, which is an image of `file` (/proc/self/fd/N); errors name `file`.
  static Result<LoadedPlugin> open(const std::filesystem::path& file, const std::filesystem::path& from);

  const std::filesystem::path& file() const { return file_; }
  const std::string& name() const { return name_; }
  const std::string& version() const { return version_; }
  const std::vector<HandlerInfo>& handlers() const { return handlers_; }

  // Makes an instance of the handler of this name. `setup` is used during the call only.
  // Errors: PluginNotFound (no such handler), PluginFailed (it cannot work here; the detail is the plugin's reason).
  Result<HandlerInstance> make(std::string_view handler, const rc_setup& setup) const;

 private:
  LoadedPlugin() = default;

  std::shared_ptr<const void> library_;
  std::filesystem::path file_;
  std::string name_;
  std::string version_;
  std::vector<HandlerInfo> handlers_;
  std::vector<const rc_handler*> tables_;  // parallel to handlers_; in the library
};

}  // namespace retire
