// The context that a handler is given: rc_context over the shared page, and where result, error and log gather.
//
// Threads: begin(), end() and the getters belong to the host's one thread, between attempts; what the handler calls
// through raw() may come from any of its threads while its run() has not returned.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "retire_cluster/plugin_abi.h"
#include "worker/host/live_area.hpp"
#include "worker/host/log_buffer.hpp"
#include "worker/host/shared_page.hpp"

namespace retire::host {

class AttemptContext {
 public:
  // Makes the scratch directory of the attempt that runs, or gives it again; called under a lock.
  using MakeScratch = std::function<Result<std::string>()>;

  AttemptContext(SharedPage& page, MakeScratch make_scratch);
  AttemptContext(const AttemptContext&) = delete;
  AttemptContext& operator=(const AttemptContext&) = delete;

  // `type` must end with a zero byte; it and `checkpoint` must live until the attempt ends.
  void begin(std::uint64_t sequence, const TaskId& task, const char* type, std::uint32_t number,
             std::uint64_t timeout_us, std::string_view checkpoint, std::int64_t now_ns);
  // Whether the attempt that has ended had a scratch directory.
  bool had_scratch() const { return !scratch_path_.empty(); }
  const rc_context& raw() const { return raw_; }

  // What the handler gave. Texts are UTF-8 and within their limits. Valid until the next begin().
  const std::optional<std::string_view> result() const;
  bool result_too_large() const { return result_bytes_ > result_.size(); }
  std::uint64_t result_bytes() const { return result_bytes_; }
  const std::string& error_message() const { return error_message_; }
  const std::string& traceback() const { return traceback_; }
  std::string_view saved_checkpoint() const { return live_.latest_checkpoint(); }
  std::string take_logs() { return logged_.exchange(false) ? logs_.take() : std::string(); }

 private:
  static AttemptContext& self(const rc_context* context) { return *static_cast<AttemptContext*>(context->host); }
  static int cancelled(const rc_context* context);
  static int wait(const rc_context* context, double seconds);
  static double seconds_left(const rc_context* context);
  static void log(const rc_context* context, int level, const char* text, std::size_t size);
  static void progress(const rc_context* context, double fraction, const char* text, std::size_t size);
  static void result(const rc_context* context, const std::uint8_t* data, std::size_t size);
  static void error(const rc_context* context, const char* message, std::size_t message_size, const char* traceback,
                    std::size_t traceback_size);

  static int save_checkpoint(const rc_context* context, const std::uint8_t* data, std::size_t size);
  static const char* scratch_dir(const rc_context* context);

  bool is_cancelled() const { return page_.cancel.load(std::memory_order_relaxed) == sequence_; }

  SharedPage& page_;
  rc_context raw_{};
  std::array<char, 37> task_text_{};
  std::uint64_t sequence_ = 0;
  std::int64_t started_ns_ = 0;
  std::int64_t deadline_ns_ = 0;

  std::mutex mutex_;  // guards what follows but logs_, which has its own
  std::string result_;
  std::uint64_t result_bytes_ = 0;  // more than result_ has: over the limit, and not kept
  bool has_result_ = false;
  std::string error_message_;
  std::string traceback_;
  LiveWriter live_;
  MakeScratch make_scratch_;
  std::string scratch_path_;  // empty: not made

  std::atomic<bool> logged_{false};
  LogBuffer logs_;
};

}  // namespace retire::host
