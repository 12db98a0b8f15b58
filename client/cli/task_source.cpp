#include "client/cli/task_source.hpp"

#include <algorithm>

namespace retire::cli {
namespace {

// A payload of 16 MiB in which every byte is written as \u00XX, and room for the rest.
constexpr std::size_t kLineBytesMax = std::size_t{128} << 20;

}  // namespace

TaskLines::Read TaskLines::read_line() {
  line_.clear();
  std::streambuf& buffer = *in_.rdbuf();
  for (;;) {
    const int c = buffer.sbumpc();
    if (c == std::streambuf::traits_type::eof()) return line_.empty() ? Read::End : Read::Line;
    ++consumed_;
    if (c == '\n') return Read::Line;
    if (line_.size() == kLineBytesMax) return Read::TooLong;
    line_.push_back(static_cast<char>(c));
  }
}

Result<const json::TaskObject*> TaskLines::next() {
  for (;;) {
    const Read read = read_line();
    if (read == Read::End) return static_cast<const json::TaskObject*>(nullptr);
    ++line_number_;
    const std::string name = "line " + std::to_string(line_number_);
    if (read == Read::TooLong)
      return Error{ErrorCode::TooLarge, name + " is longer than 128 MiB; write one task a line"};
    if (line_.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (const Status status = json::task_from_json(line_, task_); !status.ok()) {
      return Error{status.error().code, name + ": " + status.error().detail};
    }
    return static_cast<const json::TaskObject*>(&task_);
  }
}

std::optional<double> TaskLines::progress() const {
  if (size_ == 0) return std::nullopt;
  return std::min(1.0, static_cast<double>(consumed_) / static_cast<double>(size_));
}

}  // namespace retire::cli
