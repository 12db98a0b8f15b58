// What attempts tell before they end: how far they are, lines of their logs, checkpoints. Only of tasks that are not
// final and whose attempts have told something, so tasks that are over soon have no entry here.
//
// Bounded: the lines of one task and of all, and the checkpoints of all. Beyond it the oldest lines go, then those of
// the task that has told nothing for the longest; a checkpoint for which there is no room is not taken, and the task
// keeps the one before.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/core/blob.hpp"
#include "broker/core/config.hpp"
#include "broker/core/index.hpp"
#include "common/base/time.hpp"
#include "common/model/messages.hpp"
#include "common/model/task.hpp"

namespace retire::core {

struct Live {
  struct Line {
    std::uint64_t number = 0;  // in the attempt's log, from 0
    LogLine line;
  };

  std::uint32_t attempt = 0;  // whose progress and lines these are, from 1
  bool has_progress = false;
  std::optional<double> fraction;
  std::string text;
  WallTime at{};
  std::deque<Line> lines;
  std::uint64_t next_line = 0;  // one after the latest that was told
  Blob checkpoint;              // of this attempt or an earlier one

  std::size_t log_bytes = 0;                // as they are counted against the limit
  std::list<TaskIndex>::iterator by_age{};  // in LiveTable's order
};

// A part of a log, as it is asked for with LogLines::next of the last answer.
struct LogPart {
  std::uint32_t attempt = 0;
  std::vector<LogLine> lines;
  std::uint64_t next = 0;
  std::uint64_t missed = 0;
};

class LiveTable {
 public:
  explicit LiveTable(const LiveLimits& limits) : limits_(limits) {}

  // What attempt `number` of a task has told; `lines` are those of `item.logs`. Of an attempt before the latest that
  // told something nothing is taken. False if there was no room for its checkpoint.
  bool tell(TaskIndex task, std::uint32_t number, const ProgressItem& item, std::span<const LogLine> lines,
            WallTime now);
  // Hands a checkpoint over from an attempt that has ended, or from the store. False if there is no room.
  bool keep_checkpoint(TaskIndex task, ByteView checkpoint);
  // The task is final, or begins anew.
  void drop(TaskIndex task) {
    if (!entries_.empty()) drop_entry(task);
  }

  const Live* find(TaskIndex task) const;
  ByteView checkpoint(TaskIndex task) const {
    const Live* live = entries_.empty() ? nullptr : find(task);
    return live == nullptr ? ByteView{} : live->checkpoint.view();
  }
  // What is there after `cursor`, up to about `bytes_max` of text.
  LogPart log_after(TaskIndex task, std::uint64_t cursor, std::size_t bytes_max) const;

  std::size_t size() const { return entries_.size(); }
  std::size_t log_bytes() const { return log_bytes_; }
  std::size_t checkpoint_bytes() const { return checkpoint_bytes_; }
  void check_invariants() const;

 private:
  Live& entry(TaskIndex task);
  void drop_entry(TaskIndex task);
  void begin_attempt(Live& live, std::uint32_t number);
  void add_lines(Live& live, std::uint64_t first, std::span<const LogLine> lines);
  void pop_line(Live& live);
  void make_room(TaskIndex except);

  LiveLimits limits_;
  std::unordered_map<std::uint32_t, Live> entries_;  // by task; never walked
  std::list<TaskIndex> by_age_;                      // those that told something the longest ago first
  std::size_t log_bytes_ = 0;
  std::size_t checkpoint_bytes_ = 0;
};

}  // namespace retire::core
