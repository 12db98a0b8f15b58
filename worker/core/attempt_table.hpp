// Every attempt that is held, found by its number; the frames that their payloads lie in; the queues by priority.
//
// Nothing is allocated for an attempt once the table has grown to the number that is usually held. The caller bounds
// that number. Look-up is by hashing; nothing ever walks the hash table, so its order decides nothing.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include "worker/core/attempt.hpp"

namespace retire::worker {

class AttemptTable {
 public:
  AttemptTable();

  // Keeps the bytes that payloads of one message point into until the last of its attempts has let go of them.
  // release_frame() drops the adopter's own hold, once all of its attempts are added.
  FrameIndex adopt_frame(std::shared_ptr<const void> owner, std::size_t bytes);
  void release_frame(FrameIndex frame);
  std::size_t frame_bytes() const { return frame_bytes_; }

  // A new attempt, in no queue. Precondition: find(id) == kNone, `id` is not 0. Invalidates references to attempts.
  AttemptIndex add(AttemptId id, FrameIndex frame);
  AttemptIndex find(AttemptId id) const;
  Attempt& at(AttemptIndex index) { return attempts_[index]; }
  const Attempt& at(AttemptIndex index) const { return attempts_[index]; }
  // Lets go of the payload.
  void drop_payload(AttemptIndex index);
  // Forgets it. Precondition: in no queue.
  void remove(AttemptIndex index);

  std::size_t size() const { return size_; }
  std::size_t queued() const { return queued_; }
  // Those of every attempt that is held, in the order of the table.
  void list(std::vector<AttemptId>& out) const;

  // The queue: by priority, then in the order of assignment. push() puts one at its place, which for a new one is the
  // end; first() is kNone when nothing waits.
  void push(AttemptIndex index);
  void unlink(AttemptIndex index);
  AttemptIndex first() const;

  // Aborts when the indexes disagree. For tests.
  void check_invariants() const;

 private:
  struct Frame {
    std::shared_ptr<const void> owner;
    std::size_t bytes = 0;
    std::uint32_t holders = 0;
  };
  struct Cell {
    std::uint64_t id = 0;  // 0: empty
    AttemptIndex index = kNone;
  };
  struct Queue {
    AttemptIndex head = kNone;
    AttemptIndex tail = kNone;
  };

  std::size_t home(std::uint64_t id) const;
  void insert_cell(std::uint64_t id, AttemptIndex index);
  void erase_cell(std::uint64_t id);
  void grow();

  std::vector<Attempt> attempts_;
  std::vector<AttemptIndex> free_attempts_;
  std::vector<Frame> frames_;
  std::vector<FrameIndex> free_frames_;
  std::vector<Cell> cells_;  // open addressing, linear probing; a power of two, at most half full
  int shift_ = 0;            // 64 - log2(cells)
  std::array<Queue, kPriorityCount + 1> queues_{};
  std::size_t size_ = 0;
  std::size_t queued_ = 0;
  std::size_t frame_bytes_ = 0;
};

}  // namespace retire::worker
