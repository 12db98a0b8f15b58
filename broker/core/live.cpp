#include "broker/core/live.hpp"

#include <algorithm>

#include "common/base/assert.hpp"
#include "common/model/limits.hpp"

namespace retire::core {
namespace {

// What an entry and a line cost beside their texts, about.
constexpr std::size_t kEntryBytes = 256;
constexpr std::size_t kLineBytes = 64;

std::size_t cost(const LogLine& line) { return kLineBytes + line.text.size(); }

// A cursor: whose log, and how many of its lines were seen.
std::uint64_t cursor_of(std::uint32_t attempt, std::uint64_t line) { return std::uint64_t{attempt} << 32 | line; }

}  // namespace

const Live* LiveTable::find(TaskIndex task) const {
  const auto at = entries_.find(task.value);
  return at == entries_.end() ? nullptr : &at->second;
}

Live& LiveTable::entry(TaskIndex task) {
  const auto [at, made] = entries_.try_emplace(task.value);
  Live& live = at->second;
  if (made) {
    live.by_age = by_age_.insert(by_age_.end(), task);
    live.log_bytes = kEntryBytes;
    log_bytes_ += kEntryBytes;
  } else {
    by_age_.splice(by_age_.end(), by_age_, live.by_age);
  }
  return live;
}

void LiveTable::drop_entry(TaskIndex task) {
  const auto at = entries_.find(task.value);
  if (at == entries_.end()) return;
  log_bytes_ -= at->second.log_bytes;
  checkpoint_bytes_ -= at->second.checkpoint.size();
  by_age_.erase(at->second.by_age);
  entries_.erase(at);
}

void LiveTable::begin_attempt(Live& live, std::uint32_t number) {
  while (!live.lines.empty()) pop_line(live);
  live.attempt = number;
  live.has_progress = false;
  live.fraction.reset();
  live.text.clear();
  live.next_line = 0;
}

void LiveTable::pop_line(Live& live) {
  const std::size_t bytes = cost(live.lines.front().line);
  live.log_bytes -= bytes;
  log_bytes_ -= bytes;
  live.lines.pop_front();
}

void LiveTable::add_lines(Live& live, std::uint64_t first, std::span<const LogLine> lines) {
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::uint64_t number = first + i;
    // Numbers are a worker's word: one beyond what a log may hold is none, and a line that was there is not repeated.
    if (number < live.next_line || number >= kLogLinesMax) continue;
    live.next_line = number + 1;
    live.lines.push_back({number, lines[i]});
    live.log_bytes += cost(lines[i]);
    log_bytes_ += cost(lines[i]);
  }
  while (live.log_bytes > limits_.task_log_bytes_max && !live.lines.empty()) pop_line(live);
}

// A task without a checkpoint loses its entry, one with keeps that.
void LiveTable::make_room(TaskIndex except) {
  auto at = by_age_.begin();
  while (log_bytes_ > limits_.log_bytes_max && at != by_age_.end()) {
    const TaskIndex task = *at++;
    if (task == except) continue;
    Live& live = entries_.find(task.value)->second;
    if (live.checkpoint.empty()) {
      drop_entry(task);
    } else {
      while (!live.lines.empty()) pop_line(live);
    }
  }
}

bool LiveTable::tell(TaskIndex task, std::uint32_t number, const ProgressItem& item, std::span<const LogLine> lines,
                     WallTime now) {
  Live& live = entry(task);
  if (number < live.attempt) return true;
  if (number > live.attempt) begin_attempt(live, number);
  if (item.fraction || !item.text.empty()) {
    live.has_progress = true;
    live.fraction = item.fraction;
    live.text = item.text.substr(0, kProgressTextBytesMax);
    live.at = now;
  }
  add_lines(live, item.first_line, lines);
  const bool kept = item.checkpoint.empty() || keep_checkpoint(task, item.checkpoint);
  make_room(task);
  return kept;
}

bool LiveTable::keep_checkpoint(TaskIndex task, ByteView checkpoint) {
  const Live* known = find(task);
  const std::size_t former = known == nullptr ? 0 : known->checkpoint.size();
  if (checkpoint_bytes_ - former + checkpoint.size() > limits_.checkpoint_bytes_max) return false;
  Live& live = entry(task);
  live.checkpoint = Blob(checkpoint);
  checkpoint_bytes_ += checkpoint.size() - former;
  return true;
}

LogPart LiveTable::log_after(TaskIndex task, std::uint64_t cursor, std::size_t bytes_max) const {
  LogPart part;
  part.next = cursor;
  const Live* live = find(task);
  if (live == nullptr || live->attempt == 0) return part;
  part.attempt = live->attempt;
  const std::uint64_t seen = cursor >> 32 == live->attempt ? cursor & UINT32_MAX : 0;
  auto at = std::lower_bound(live->lines.begin(), live->lines.end(), seen,
                             [](const Live::Line& line, std::uint64_t number) { return line.number < number; });
  std::uint64_t next = seen;
  for (std::size_t bytes = 0; at != live->lines.end() && bytes < bytes_max; ++at) {
    part.lines.push_back(at->line);
    bytes += cost(at->line);
    next = at->number + 1;
  }
  if (at == live->lines.end()) next = std::max(next, live->next_line);
  part.missed = next - seen - part.lines.size();
  part.next = cursor_of(live->attempt, next);
  return part;
}

void LiveTable::check_invariants() const {
  RC_ASSERT(by_age_.size() == entries_.size());
  std::size_t logs = 0;
  std::size_t checkpoints = 0;
  for (const TaskIndex task : by_age_) {
    const Live* live = find(task);
    RC_ASSERT(live != nullptr);
    std::size_t bytes = kEntryBytes;
    for (const Live::Line& line : live->lines) bytes += cost(line.line);
    RC_ASSERT(bytes == live->log_bytes);
    logs += bytes;
    checkpoints += live->checkpoint.size();
  }
  RC_ASSERT(logs == log_bytes_ && checkpoints == checkpoint_bytes_);
  RC_ASSERT(checkpoints <= limits_.checkpoint_bytes_max);
}

}  // namespace retire::core
