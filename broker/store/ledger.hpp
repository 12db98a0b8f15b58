// What lies in which segment, how much of it is needed, and where unfinished tasks begin. Pure: it is told what became
// durable, and says what could be tidied.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "broker/store/batch.hpp"

namespace retire::store {

// A run of neighbouring segments that are to become one, and what is not needed in them.
struct TidyRun {
  struct Part {
    std::uint64_t first = 0;
    std::size_t dead = 0;  // how many of the segment's released positions were known then
  };
  std::vector<Part> parts;
  std::uint64_t last = 0;  // the last batch that the run stands for
  std::unordered_set<Position> dead;
  std::uint64_t garbage_bytes = 0;  // about
};

struct TidyLimits {
  std::uint64_t garbage_bytes_min = std::uint64_t{32} << 20;  // less is not worth a rewrite
  std::uint64_t run_bytes_max = std::uint64_t{1} << 20;
  std::uint64_t young_bytes = std::uint64_t{16} << 20;  // the youngest are left alone: most of them is about to change
  std::size_t young_segments = 64;
  std::uint32_t small_bytes = 64 * 1024;   // segments below this are put together
  std::size_t small_segments_max = 2'048;  // when there are more of them
};

class Ledger {
 public:
  Ledger() { forget_recent(); }
  Ledger(const Ledger&) = delete;  // it points into itself
  // A segment that open found; how much of it is needed comes with found(), when it has been read.
  void add(std::uint64_t first, std::uint64_t last);
  // What reading a segment showed: counts of its records, and how its records change others.
  struct Found {
    std::uint32_t bytes = 0;
    std::uint32_t needed = 0;
    std::uint32_t forgotten = 0;
    std::uint32_t submitted = 0;
    std::uint32_t passing = 0;
    std::uint32_t passing_bytes = 0;
    std::vector<Position> ended;
    std::vector<Position> requeued;
  };
  void found(std::uint64_t first, const Found& found);
  // Everything that open found has been read.
  void loaded() { loaded_ = true; }
  bool is_loaded() const { return loaded_; }
  void hold_lowest(std::uint64_t batch) { held_lowest_ = batch; }

  // A batch became durable.
  void apply(std::uint64_t number, std::size_t bytes, std::uint32_t records, const BatchEffects& effects);
  void apply_effects(const BatchEffects& effects);

  // The first batch with a task that may be unfinished; `otherwise` if there is none.
  std::uint64_t lowest(std::uint64_t otherwise);

  // Drops segments from the front that hold nothing needed. Returns the first batch that is kept.
  std::uint64_t trim(std::uint64_t next_batch);
  // The batch in the middle of those that are kept; 0 if there are none.
  std::uint64_t middle() const;
  // What is worth tidying now, in order. Empty while loading.
  std::vector<TidyRun> plan(const TidyLimits& limits) const;
  // Whether a Forgotten record may go: nothing is left of the task it is about. `run`: what is being rewritten with it.
  bool forgettable(Position of, const TidyRun& run) const;
  // A run has become one segment.
  void tidied(const TidyRun& run, const Found& found);

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t garbage_bytes() const;
  std::size_t segments() const { return segments_.size(); }

 private:
  struct Entry {
    std::uint64_t last = 0;
    std::uint32_t bytes = 0;
    std::uint32_t needed = 0;     // records, but for Forgotten ones; released ones are counted until they are gone
    std::uint32_t forgotten = 0;  // Forgotten records,
    std::uint32_t stuck = 0;      // and how many of them the latest rewrite had to keep
    std::uint32_t passing = 0;    // of the needed: see BatchEffects
    std::uint32_t passing_bytes = 0;
    std::int32_t unfinished = 0;
    std::vector<Position> dead;  // released and still there

    bool is_dead() const { return dead.size() >= needed; }
    std::uint64_t garbage() const;
  };
  using Segments = std::map<std::uint64_t, Entry>;

  // The segment that holds the batch; end() if there is none. What is looked for comes in runs.
  Segments::iterator find(std::uint64_t batch) {
    Segments::iterator& recent = recent_[batch % kRecent];
    if (recent != segments_.end() && recent->first <= batch && batch <= recent->second.last) return recent;
    return recent = search(batch);
  }
  Segments::iterator search(std::uint64_t batch);
  // Before a segment is taken out.
  void forget_recent() { recent_.fill(segments_.end()); }
  void finish(Position of, int change);
  void release(Position position);

  static constexpr std::size_t kRecent = 64;
  Segments segments_;
  std::array<Segments::iterator, kRecent> recent_;
  std::uint64_t bytes_ = 0;
  std::uint64_t lowest_ = 0;       // no segment before has anything unfinished
  std::uint64_t held_lowest_ = 0;  // from before the restart, until everything has been read
  bool loaded_ = false;
};

}  // namespace retire::store
