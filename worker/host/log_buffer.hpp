// The log lines of one attempt, within the protocol's limits.
//
// Threads: any; a handler may log from several.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/task.hpp"

namespace retire::host {

class LogBuffer {
 public:
  // The line's number if it was taken: then `tell` is called with that and the line, under the buffer's lock.
  void add(int level, std::string_view text, std::uint64_t us_since_start,
           const std::function<void(std::uint64_t number, const LogLine& line)>& tell = {});
  // As the protocol has them, empty if there are none; begins anew. What was dropped is said in a last line.
  std::string take();

 private:
  std::mutex mutex_;
  std::vector<LogLine> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t last_us_ = 0;
};

}  // namespace retire::host
