// The attempts that devices hold: by place, and by their number on the wire.
#pragma once

#include <cstdint>
#include <vector>

#include "broker/core/index.hpp"
#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/model/task.hpp"

namespace retire::core {

constexpr std::uint64_t kNotSent = UINT64_MAX;

struct Attempt {
  AttemptId id;
  TaskIndex task;
  DeviceIndex device;
  // Number of the assign message that carries it to its device; kNotSent: its payload is still fetched, or
  // the session has ended before it could be sent.
  std::uint64_t assign = kNotSent;
  std::uint64_t stored = 0;       // where the record of its dispatch lies in the store; 0: there is none
  std::uint64_t confirmed = 0;    // number of the latest heartbeat that listed it
  std::uint32_t number = 0;       // of the task's attempts, from 1
  std::uint32_t expected_us = 0;  // what it was counted with in its device's expected work
  Priority priority = Priority::Normal;
  bool current =
      true;  // false: the task does not want it any more, and its slot is busy until the device says it ended
  bool started = false;  // as far as main was told
  bool recalled = false;
  bool to_free_slot = false;  // it did not wait behind another there
  TimePoint assigned_at{};
  WallTime assigned_wall{};
  WallTime started_wall{};
  AttemptIndex previous;  // of the same device, in the order of assignment
  AttemptIndex next;
};

class AttemptTable {
 public:
  AttemptTable() : slots_(1024) {}

  AttemptIndex add(AttemptId id) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    const AttemptIndex place = attempts_.add();
    attempts_[place].id = id;
    const std::size_t slot = slot_of(id);
    RC_ASSERT(!slots_[slot]);
    slots_[slot] = place;
    ++size_;
    return place;
  }
  // Deletion without tombstones, as in TaskTable.
  void remove(AttemptIndex place) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t hole = slot_of(attempts_[place].id);
    RC_ASSERT(slots_[hole] == place);
    slots_[hole] = AttemptIndex{};
    --size_;
    for (std::size_t at = (hole + 1) & mask; slots_[at]; at = (at + 1) & mask) {
      const std::size_t home = hash(attempts_[slots_[at]].id) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots_[hole] = slots_[at];
      slots_[at] = AttemptIndex{};
      hole = at;
    }
    attempts_.remove(place);
  }
  AttemptIndex find(AttemptId id) const { return slots_[slot_of(id)]; }
  // It is about to be looked for.
  void fetch(AttemptId id) const { prefetch(&slots_[hash(id) & (slots_.size() - 1)]); }
  Attempt& operator[](AttemptIndex place) { return attempts_[place]; }
  const Attempt& operator[](AttemptIndex place) const { return attempts_[place]; }
  std::size_t size() const { return size_; }

 private:
  // Numbers count upwards. Left in a row they would fill one run of slots, which every removal would have to walk, so
  // they are spread (Knuth, vol. 3, 6.4: multiplicative hashing).
  static std::size_t hash(AttemptId id) { return static_cast<std::size_t>((id.value() * 0x9e3779b97f4a7c15ull) >> 20); }
  std::size_t slot_of(AttemptId id) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash(id) & mask;
    while (slots_[slot] && attempts_[slots_[slot]].id != id) slot = (slot + 1) & mask;
    return slot;
  }
  void grow() {
    std::vector<AttemptIndex> old(slots_.size() * 2);
    old.swap(slots_);
    for (const AttemptIndex place : old) {
      if (place) slots_[slot_of(attempts_[place].id)] = place;
    }
  }

  Slab<Attempt, AttemptIndex> attempts_;
  std::vector<AttemptIndex> slots_;
  std::size_t size_ = 0;
};

}  // namespace retire::core
