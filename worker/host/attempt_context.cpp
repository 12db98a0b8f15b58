#include "worker/host/attempt_context.hpp"

#include <algorithm>
#include <cmath>

#include "common/model/limits.hpp"
#include "worker/host/text.hpp"

namespace retire::host {
namespace {

constexpr std::size_t kBufferKept = std::size_t{1} << 20;

// As Uuid::text(), without allocating: this runs for each attempt.
void write_uuid(const Uuid& id, char* out) {
  constexpr std::string_view kHex = "0123456789abcdef";
  int digit = 0;
  for (int i = 0; i < 36; ++i) {
    if (i == 8 || i == 13 || i == 18 || i == 23) {
      out[i] = '-';
      continue;
    }
    const std::uint64_t word = digit < 16 ? id.high() : id.low();
    out[i] = kHex[(word >> (60 - 4 * (digit % 16))) & 15];
    ++digit;
  }
  out[36] = '\0';
}

}  // namespace

AttemptContext::AttemptContext(SharedPage& page, MakeScratch make_scratch)
    : page_(page), live_(page.live), make_scratch_(std::move(make_scratch)) {
  raw_.size_bytes = sizeof raw_;
  raw_.host = this;
  raw_.task_id = task_text_.data();
  raw_.cancelled = &cancelled;
  raw_.wait = &wait;
  raw_.seconds_left = &seconds_left;
  raw_.log = &log;
  raw_.progress = &progress;
  raw_.result = &result;
  raw_.error = &error;
  raw_.save_checkpoint = &save_checkpoint;
  raw_.scratch_dir = &scratch_dir;
}

void AttemptContext::begin(std::uint64_t sequence, const TaskId& task, const char* type, std::uint32_t number,
                           std::uint64_t timeout_us, std::string_view checkpoint, std::int64_t now_ns) {
  raw_.attempt = number;
  raw_.task_type = type;
  write_uuid(task, task_text_.data());
  raw_.checkpoint = {reinterpret_cast<const std::uint8_t*>(checkpoint.data()), checkpoint.size()};
  live_.begin(sequence);
  scratch_path_.clear();
  sequence_ = sequence;
  started_ns_ = now_ns;
  const std::uint64_t timeout_ns = std::min(timeout_us, std::uint64_t{INT64_MAX} / 4000) * 1000;
  deadline_ns_ = now_ns + static_cast<std::int64_t>(timeout_ns);
  if (result_.capacity() > kBufferKept) result_ = {};  // one large result is not kept for ever
  result_.clear();
  result_bytes_ = 0;
  has_result_ = false;
  error_message_.clear();
  traceback_.clear();
}

const std::optional<std::string_view> AttemptContext::result() const {
  return has_result_ ? std::optional<std::string_view>(result_) : std::nullopt;
}

int AttemptContext::cancelled(const rc_context* context) { return self(context).is_cancelled() ? 1 : 0; }

int AttemptContext::wait(const rc_context* context, double seconds) {
  AttemptContext& me = self(context);
  const std::int64_t begun = monotonic_ns();
  constexpr double kForever = 1e9;  // seconds; NaN and negative: not at all
  const double bounded = seconds > 0 ? std::min(seconds, kForever) : 0;
  // Not beyond the deadline: then the attempt is out of time, whether the agent has said so yet or not.
  const std::int64_t until = std::min(begun + static_cast<std::int64_t>(bounded * 1e9), me.deadline_ns_);
  for (;;) {
    const std::uint32_t before = me.page_.cancel_wake.load();
    if (me.is_cancelled()) return 1;
    const std::int64_t now = monotonic_ns();
    if (now >= until) return now >= me.deadline_ns_ ? 1 : 0;
    futex_wait(me.page_.cancel_wake, before, std::chrono::nanoseconds(until - now));
  }
}

double AttemptContext::seconds_left(const rc_context* context) {
  const std::int64_t left = self(context).deadline_ns_ - monotonic_ns();
  return left <= 0 ? 0.0 : static_cast<double>(left) / 1e9;
}

void AttemptContext::log(const rc_context* context, int level, const char* text, std::size_t size) {
  AttemptContext& me = self(context);
  const std::int64_t since = std::max(monotonic_ns() - me.started_ns_, std::int64_t{0});
  me.logged_.store(true);
  me.logs_.add(level, {text, size}, static_cast<std::uint64_t>(since / 1000),
               [&me](std::uint64_t number, const LogLine& line) {
                 const std::lock_guard lock(me.mutex_);
                 me.live_.line(number, line);
               });
}

void AttemptContext::progress(const rc_context* context, double fraction, const char* text, std::size_t size) {
  AttemptContext& me = self(context);
  const std::lock_guard lock(me.mutex_);
  me.live_.progress(std::isfinite(fraction) ? std::clamp(fraction, 0.0, 1.0) : 0.0,
                    clean_text({text, size}, kProgressTextBytesMax));
}

void AttemptContext::result(const rc_context* context, const std::uint8_t* data, std::size_t size) {
  AttemptContext& me = self(context);
  const std::lock_guard lock(me.mutex_);
  me.has_result_ = true;
  me.result_bytes_ = size;
  if (size > kResultBytesMax) {
    me.result_.clear();
  } else {
    me.result_.assign(reinterpret_cast<const char*>(data), size);
  }
}

void AttemptContext::error(const rc_context* context, const char* message, std::size_t message_size,
                           const char* traceback, std::size_t traceback_size) {
  AttemptContext& me = self(context);
  const std::lock_guard lock(me.mutex_);
  me.error_message_ = clean_text({message, message_size}, kErrorMessageBytesMax);
  me.traceback_ = clean_text({traceback, traceback_size}, kTracebackBytesMax);
}

int AttemptContext::save_checkpoint(const rc_context* context, const std::uint8_t* data, std::size_t size) {
  if (size > kCheckpointBytesMax) return 1;
  AttemptContext& me = self(context);
  const std::lock_guard lock(me.mutex_);
  me.live_.checkpoint({reinterpret_cast<const char*>(data), size});
  return 0;
}

const char* AttemptContext::scratch_dir(const rc_context* context) {
  AttemptContext& me = self(context);
  const std::lock_guard lock(me.mutex_);
  if (!me.scratch_path_.empty()) return me.scratch_path_.c_str();  // what was given stays valid
  Result<std::string> path = me.make_scratch_();
  if (!path.ok()) {
    me.error_message_ = clean_text(path.error().detail, kErrorMessageBytesMax);
    return nullptr;
  }
  me.scratch_path_ = std::move(path).value();
  return me.scratch_path_.c_str();
}

}  // namespace retire::host
