// The slots: what each host has been handed and not answered yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "worker/core/attempt.hpp"

namespace retire::worker {

// A slot is the right to have one host work. Attempts are answered by sequence, mostly in order.
class Slot {
 public:
  struct Entry {
    Sequence sequence = 0;
    AttemptIndex attempt = kNone;  // kNone: answered or taken back
    std::uint32_t bytes = 0;
  };

  // Free for other work. A slot whose host is being killed is not: only when nothing of it is left.
  bool idle() const { return open_ == 0 && !killed; }
  std::size_t open() const { return open_; }  // attempts not answered
  std::size_t bytes() const { return bytes_; }

  void hand(Sequence sequence, AttemptIndex attempt, std::size_t bytes);
  // The entry that waits for its answer; null when there is none of this sequence.
  Entry* find(Sequence sequence);
  void close(Entry& entry);
  // The first that waits; null when idle.
  Entry* first();
  // All entries, those that are closed too, for going through them; close() may be called meanwhile.
  std::size_t size() const { return entries_.size() - head_; }
  Entry& entry(std::size_t i) { return entries_[head_ + i]; }
  // To be called after closing, when no entry is in use: forgets closed ones at the front.
  void tidy();

  TypeIndex type = 0;
  bool exclusive = false;                  // holds one that must be alone in its host
  Sequence running = 0;                    // seen running when last looked into; 0: not known
  TimePoint began{};                       // when that began
  TimePoint look_at{};                     // when to look into it; max: no need
  TimePoint listen_at = TimePoint::max();  // when to ask what `running` has told; max: it runs for too short a time
  bool tell_again = false;                 // main may not have what it was told
  TimePoint deadline{};                    // when `running` is overdue; max: not known
  TimePoint term_at{};                     // when its host is sent SIGTERM; max: it is not to be
  TimePoint kill_at{};                     // when its host is killed; max: it is not to be
  bool killed = false;                     // ordered already
  bool taking_back = false;                // ordered already
  bool answered = false;                   // something since it was handed work while idle
  bool spent = false;                      // its host is given no more, so that it can be replaced when it has done
  bool never_began = false;                // killed because its host began nothing
  TimePoint handed_at{};                   // last handover to it while idle
  TimePoint progress_at{};                 // that, or its last answer

 private:
  std::vector<Entry> entries_;
  std::size_t head_ = 0;
  std::size_t open_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace retire::worker
