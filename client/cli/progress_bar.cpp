#include "client/cli/progress_bar.hpp"

#include <string>

#include "client/cli/text.hpp"

namespace retire::cli {

void ProgressBar::update(TimePoint now, std::uint64_t done, std::optional<std::uint64_t> finished,
                         std::optional<double> part) {
  constexpr Duration kEach = std::chrono::milliseconds(100);
  constexpr double kBarColumns = 30;
  if (out_ == nullptr || now - shown_ < kEach) return;
  shown_ = now;
  visible_ = true;
  std::string line = "\r\x1b[K";
  if (part) {
    const auto full = static_cast<std::size_t>(*part * kBarColumns);
    line += "[" + std::string(full, '#') + std::string(static_cast<std::size_t>(kBarColumns) - full, '.') + "] " +
            std::to_string(static_cast<int>(*part * 100)) + " %  ";
  }
  const double seconds = to_seconds(now - started_);
  line += with_commas(done) + " submitted";
  if (finished) line += ", " + with_commas(*finished) + " finished";
  line += ", " + with_commas(static_cast<std::uint64_t>(static_cast<double>(finished.value_or(done)) / seconds)) + "/s";
  *out_ << line << std::flush;
}

void ProgressBar::clear() {
  if (out_ != nullptr && visible_) *out_ << "\r\x1b[K" << std::flush;
  visible_ = false;
}

}  // namespace retire::cli
