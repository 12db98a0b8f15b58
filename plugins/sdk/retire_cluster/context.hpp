// One attempt, and what a handler's host tells it at the start, as C++ values over plugin_abi.h.
#pragma once

#include <retire_cluster/plugin_abi.h>

#include <chrono>
#include <retire_cluster/error.hpp>
#include <retire_cluster/msgpack_check.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace retire_cluster {

// The attempt that is running. Valid until run() returns; may be used from any thread of the handler until then.
class Context {
 public:
  explicit Context(const rc_context* raw) noexcept : raw_(raw) {}

  std::string_view task_id() const noexcept { return raw_->task_id; }  // the same in every attempt: an idempotency key
  std::string_view idempotency_key() const noexcept { return task_id(); }
  std::string_view task_type() const noexcept { return raw_->task_type; }
  unsigned attempt() const noexcept { return raw_->attempt; }  // 1 for the first

  // True once the task was cancelled or ran out of time. Cheap enough for an inner loop.
  bool cancelled() const noexcept { return raw_->cancelled(raw_) != 0; }
  // The same as an exception, which ends the attempt as cancelled.
  void throw_if_cancelled() const {
    if (cancelled()) throw Cancelled();
  }
  // Sleeps; true when it woke because the attempt was cancelled.
  bool wait(double seconds) const noexcept { return raw_->wait(raw_, seconds) != 0; }
  // When the attempt's time is over.
  std::chrono::steady_clock::time_point deadline() const noexcept {
    return std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                                                  std::chrono::duration<double>(seconds_left()));
  }
  // Until then; never negative.
  double seconds_left() const noexcept { return raw_->seconds_left(raw_); }

  // One line for the task's log.
  void debug(std::string_view line) const noexcept { log(RC_LOG_DEBUG, line); }
  void info(std::string_view line) const noexcept { log(RC_LOG_INFO, line); }
  void warning(std::string_view line) const noexcept { log(RC_LOG_WARNING, line); }
  void error(std::string_view line) const noexcept { log(RC_LOG_ERROR, line); }
  void log(int level, std::string_view line) const noexcept { raw_->log(raw_, level, line.data(), line.size()); }

  // How far the attempt is, 0 to 1, with a short text.
  void progress(double fraction, std::string_view text = {}) const noexcept {
    raw_->progress(raw_, fraction, text.data(), text.size());
  }

  // What the latest attempt before this one has saved; empty when nothing was. Maybe by another version of the plugin.
  Bytes checkpoint() const noexcept {
    if (!RC_CONTEXT_HAS(raw_, checkpoint)) return {};
    return {raw_->checkpoint.data, raw_->checkpoint.size};
  }
  // Saves a checkpoint, up to 1 MiB, for the attempt that follows if this one does not succeed. False if the host is
  // older than checkpoints. Throws PermanentError when it is too large.
  bool save_checkpoint(Bytes data) const {
    if (!RC_CONTEXT_HAS(raw_, save_checkpoint)) return false;
    if (raw_->save_checkpoint(raw_, data.data(), data.size()) == 0) return true;
    throw PermanentError("the checkpoint has " + std::to_string(data.size()) + " bytes, over the limit of " +
                         std::to_string(RC_CHECKPOINT_BYTES_MAX));
  }
  bool save_checkpoint(std::string_view data) const {
    return save_checkpoint(Bytes(reinterpret_cast<const std::uint8_t*>(data.data()), data.size()));
  }

  // An empty directory of the attempt's own, made when it is first asked for and removed afterwards. Throws
  // std::runtime_error when there is none.
  std::string scratch_dir() const {
    const char* path = RC_CONTEXT_HAS(raw_, scratch_dir) ? raw_->scratch_dir(raw_) : nullptr;
    if (path == nullptr) throw std::runtime_error("no scratch directory can be made here");
    return path;
  }

  // Gives the result as bytes, one msgpack value. Only for handlers whose run() returns nothing.
  void result(Bytes value) const noexcept { raw_->result(raw_, value.data(), value.size()); }

  const rc_context* raw() const noexcept { return raw_; }

 private:
  const rc_context* raw_;
};

// What a handler's constructor may ask for. Valid until the constructor returns.
class Setup {
 public:
  explicit Setup(const rc_setup* raw) noexcept : raw_(raw) {}
  // The device's capability record, a msgpack map; empty when the host has none.
  Bytes device() const noexcept { return {raw_->device.data, raw_->device.size}; }
  // The worker's settings that concern handlers, a msgpack map; may be empty.
  Bytes settings() const noexcept { return {raw_->settings.data, raw_->settings.size}; }

 private:
  const rc_setup* raw_;
};

}  // namespace retire_cluster
