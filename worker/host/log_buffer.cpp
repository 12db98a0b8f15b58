#include "worker/host/log_buffer.hpp"

#include <algorithm>

#include "common/model/limits.hpp"
#include "common/protocol/codec.hpp"
#include "worker/host/text.hpp"

namespace retire::host {
namespace {
constexpr std::size_t kLastLineBytes = 128;  // kept free for saying what was dropped
}

void LogBuffer::add(int level, std::string_view text, std::uint64_t us_since_start,
                    const std::function<void(std::uint64_t number, const LogLine& line)>& tell) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  const std::lock_guard lock(mutex_);
  last_us_ = us_since_start;
  const std::size_t size = std::min(text.size(), kLogLineBytesMax);
  if (lines_.size() >= kLogLinesMax - 1 || bytes_ + size > kLogBytesMax - kLastLineBytes) {
    ++dropped_;
    return;
  }
  LogLine& line = lines_.emplace_back();
  line.level = static_cast<LogLevel>(std::clamp(level, 1, 4));
  line.us_since_start = us_since_start;
  line.text = clean_text(text, kLogLineBytesMax);
  bytes_ += line.text.size();
  if (tell) tell(lines_.size() - 1, line);
}

std::string LogBuffer::take() {
  const std::lock_guard lock(mutex_);
  if (dropped_ > 0) {
    lines_.push_back({LogLevel::Warning, last_us_,
                      std::to_string(dropped_) + " more lines were dropped: the log of an attempt is limited"});
  }
  std::string out = lines_.empty() ? std::string() : protocol::encode_log_lines(lines_);
  if (lines_.capacity() > 64) {
    lines_ = {};
  } else {
    lines_.clear();
  }
  bytes_ = 0;
  dropped_ = 0;
  return out;
}

}  // namespace retire::host
