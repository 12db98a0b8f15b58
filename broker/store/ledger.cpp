#include "broker/store/ledger.hpp"

#include <algorithm>

namespace retire::store {
namespace {

constexpr std::uint64_t kForgottenBytes = kEntryHeadBytes + 16;

}  // namespace

void Ledger::add(std::uint64_t first, std::uint64_t last) { segments_[first].last = last; }

Ledger::Segments::iterator Ledger::search(std::uint64_t batch) {
  auto at = segments_.upper_bound(batch);
  if (at == segments_.begin()) return segments_.end();
  --at;
  return batch <= at->second.last ? at : segments_.end();
}

// About: which records are dead is known by their positions only. Those that pass are so first, and the others die with
// their task. To take all for equally large would call a store in good order hollow, and rewrite it again and again.
std::uint64_t Ledger::Entry::garbage() const {
  const std::uint64_t forgotten_bytes = kForgottenBytes * forgotten;
  const std::uint64_t lasting_bytes = bytes - std::min<std::uint64_t>(bytes, forgotten_bytes + passing_bytes);
  const std::uint64_t gone = std::min<std::uint64_t>(dead.size(), needed);
  const std::uint64_t passed = std::min<std::uint64_t>(gone, passing);
  std::uint64_t sum = kForgottenBytes * (forgotten - std::min(stuck, forgotten));
  if (passing > 0) sum += passing_bytes * passed / passing;
  if (needed > passing) sum += lasting_bytes * (gone - passed) / (needed - passing);
  return std::min<std::uint64_t>(sum, bytes);
}

void Ledger::finish(Position of, int change) {
  const auto at = find(batch_of(of));
  if (at == segments_.end()) return;
  at->second.unfinished += change;
  if (change > 0) lowest_ = std::min(lowest_, at->first);
}

void Ledger::release(Position position) {
  const auto at = find(batch_of(position));
  if (at != segments_.end()) at->second.dead.push_back(position);
}

void Ledger::found(std::uint64_t first, const Found& found) {
  const auto at = segments_.find(first);
  if (at == segments_.end()) return;
  Entry& entry = at->second;
  bytes_ += found.bytes;
  entry.bytes = found.bytes;
  entry.needed = found.needed;
  entry.forgotten = found.forgotten;
  entry.passing = found.passing;
  entry.passing_bytes = found.passing_bytes;
  entry.unfinished += static_cast<std::int32_t>(found.submitted);
  for (const Position of : found.ended) finish(of, -1);
  for (const Position of : found.requeued) finish(of, 1);
}

void Ledger::apply(std::uint64_t number, std::size_t bytes, std::uint32_t records, const BatchEffects& effects) {
  Entry& entry = segments_[number];
  entry.last = number;
  entry.bytes = static_cast<std::uint32_t>(bytes);
  entry.needed = effects.needed;
  entry.forgotten = records - effects.needed;
  entry.passing = effects.passing;
  entry.passing_bytes = effects.passing_bytes;
  entry.unfinished = static_cast<std::int32_t>(effects.submitted);
  bytes_ += bytes;
  apply_effects(effects);
}

void Ledger::apply_effects(const BatchEffects& effects) {
  for (const Position of : effects.ended) finish(of, -1);
  for (const Position of : effects.requeued) finish(of, 1);
  for (const Position position : effects.released) release(position);
}

std::uint64_t Ledger::lowest(std::uint64_t otherwise) {
  if (!loaded_) return std::min(held_lowest_, otherwise);
  auto at = segments_.lower_bound(lowest_);
  while (at != segments_.end() && at->second.unfinished <= 0) ++at;
  if (at == segments_.end()) return lowest_ = otherwise;
  return lowest_ = at->first;
}

std::uint64_t Ledger::trim(std::uint64_t next_batch) {
  if (loaded_) {
    forget_recent();
    while (!segments_.empty() && segments_.begin()->second.is_dead()) {
      bytes_ -= segments_.begin()->second.bytes;
      segments_.erase(segments_.begin());
    }
  }
  return segments_.empty() ? next_batch : segments_.begin()->first;
}

std::uint64_t Ledger::middle() const {
  if (segments_.empty()) return 0;
  const std::uint64_t first = segments_.begin()->first;
  return first + (segments_.rbegin()->second.last - first) / 2;
}

std::uint64_t Ledger::garbage_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [first, entry] : segments_) sum += entry.garbage();
  return sum;
}

std::vector<TidyRun> Ledger::plan(const TidyLimits& limits) const {
  std::vector<TidyRun> runs;
  if (!loaded_) return runs;
  const std::uint64_t garbage = garbage_bytes();
  const bool hollow = garbage > std::max(limits.garbage_bytes_min, (bytes_ - std::min(bytes_, garbage)) / 2);
  const auto is_small = [&](const Entry& entry) { return entry.bytes < limits.small_bytes; };
  const auto small = static_cast<std::size_t>(
      std::count_if(segments_.begin(), segments_.end(), [&](const auto& at) { return is_small(at.second); }));
  const bool merge = small > limits.small_segments_max;
  if (!hollow && !merge) return runs;

  TidyRun run;
  std::uint64_t run_bytes = 0;
  const auto end_run = [&] {
    if (run.parts.size() > 1 || run.garbage_bytes > 0) runs.push_back(std::move(run));
    run = {};
    run_bytes = 0;
  };
  auto young = segments_.end();
  std::uint64_t young_bytes = 0;
  for (std::size_t i = 0; i < limits.young_segments && young != segments_.begin(); ++i) {
    young_bytes += std::prev(young)->second.bytes;
    if (young_bytes > limits.young_bytes) break;
    --young;
  }
  for (auto at = segments_.begin(); at != young; ++at) {
    const Entry& entry = at->second;
    const bool wanted =
        (hollow && entry.garbage() > 0 && entry.garbage() * 4 >= entry.bytes) || (merge && is_small(entry));
    if (!wanted) {
      end_run();
      continue;
    }
    run.parts.push_back({at->first, entry.dead.size()});
    run.last = entry.last;
    run.dead.insert(entry.dead.begin(), entry.dead.end());
    run.garbage_bytes += entry.garbage();
    run_bytes += entry.bytes - entry.garbage();
    if (run_bytes >= limits.run_bytes_max) end_run();
  }
  end_run();
  return runs;
}

bool Ledger::forgettable(Position of, const TidyRun& run) const {
  if (run.dead.contains(of)) return true;  // it goes in the same write
  const std::uint64_t batch = batch_of(of);
  auto at = segments_.upper_bound(batch);
  if (at == segments_.begin()) return true;
  --at;
  return batch > at->second.last || at->second.dead.empty();
}

void Ledger::tidied(const TidyRun& run, const Found& found) {
  Entry fresh;
  fresh.last = run.last;
  fresh.bytes = found.bytes;
  fresh.needed = found.needed;
  fresh.forgotten = found.forgotten;
  fresh.passing = found.passing;
  fresh.passing_bytes = found.passing_bytes;
  fresh.stuck = found.forgotten;
  forget_recent();
  for (const TidyRun::Part& part : run.parts) {
    const auto at = segments_.find(part.first);
    if (at == segments_.end()) continue;  // dropped from the front meanwhile
    bytes_ -= at->second.bytes;
    fresh.unfinished += at->second.unfinished;
    const auto& dead = at->second.dead;
    fresh.dead.insert(fresh.dead.end(), dead.begin() + static_cast<std::ptrdiff_t>(part.dead), dead.end());
    segments_.erase(at);
  }
  bytes_ += fresh.bytes;
  segments_[run.parts.front().first] = std::move(fresh);
  lowest_ = std::min(lowest_, run.parts.front().first);
}

}  // namespace retire::store
