#include "worker/core/attempt_table.hpp"

#include <utility>

#include "common/base/assert.hpp"

namespace retire::worker {
namespace {
constexpr int kCellBitsFirst = 10;
constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15ull;  // attempts are numbered in a row: this spreads them
}  // namespace

AttemptTable::AttemptTable() : cells_(std::size_t{1} << kCellBitsFirst), shift_(64 - kCellBitsFirst) {}

FrameIndex AttemptTable::adopt_frame(std::shared_ptr<const void> owner, std::size_t bytes) {
  FrameIndex index = 0;
  if (free_frames_.empty()) {
    index = static_cast<FrameIndex>(frames_.size());
    frames_.emplace_back();
  } else {
    index = free_frames_.back();
    free_frames_.pop_back();
  }
  frames_[index] = Frame{std::move(owner), bytes, 1};
  frame_bytes_ += bytes;
  return index;
}

void AttemptTable::release_frame(FrameIndex frame) {
  Frame& held = frames_[frame];
  RC_ASSERT(held.holders > 0);
  if (--held.holders > 0) return;
  frame_bytes_ -= held.bytes;
  held = Frame{};
  free_frames_.push_back(frame);
}

AttemptIndex AttemptTable::add(AttemptId id, FrameIndex frame) {
  AttemptIndex index = 0;
  if (free_attempts_.empty()) {
    index = static_cast<AttemptIndex>(attempts_.size());
    attempts_.emplace_back();
  } else {
    index = free_attempts_.back();
    free_attempts_.pop_back();
  }
  Attempt& attempt = attempts_[index];
  attempt = Attempt{};
  attempt.id = id;
  attempt.frame = frame;
  ++frames_[frame].holders;
  ++size_;
  if (size_ * 2 > cells_.size()) grow();
  insert_cell(id.value(), index);
  return index;
}

std::size_t AttemptTable::home(std::uint64_t id) const { return static_cast<std::size_t>((id * kGolden) >> shift_); }

AttemptIndex AttemptTable::find(AttemptId id) const {
  if (!id) return kNone;
  const std::size_t mask = cells_.size() - 1;
  for (std::size_t i = home(id.value());; i = (i + 1) & mask) {
    if (cells_[i].id == id.value()) return cells_[i].index;
    if (cells_[i].id == 0) return kNone;
  }
}

void AttemptTable::insert_cell(std::uint64_t id, AttemptIndex index) {
  const std::size_t mask = cells_.size() - 1;
  std::size_t i = home(id);
  while (cells_[i].id != 0) i = (i + 1) & mask;
  cells_[i] = {id, index};
}

void AttemptTable::erase_cell(std::uint64_t id) {
  const std::size_t mask = cells_.size() - 1;
  std::size_t hole = home(id);
  while (cells_[hole].id != id) {
    RC_ASSERT(cells_[hole].id != 0);
    hole = (hole + 1) & mask;
  }
  // Moves back each follower that its own search would now miss.
  for (std::size_t i = (hole + 1) & mask; cells_[i].id != 0; i = (i + 1) & mask) {
    const std::size_t wanted = home(cells_[i].id);
    if (((i - wanted) & mask) >= ((i - hole) & mask)) {
      cells_[hole] = cells_[i];
      hole = i;
    }
  }
  cells_[hole] = Cell{};
}

void AttemptTable::grow() {
  std::vector<Cell> old(cells_.size() * 2);
  old.swap(cells_);
  --shift_;
  for (const Cell& cell : old) {
    if (cell.id != 0) insert_cell(cell.id, cell.index);
  }
}

void AttemptTable::drop_payload(AttemptIndex index) {
  Attempt& attempt = attempts_[index];
  attempt.payload = attempt.checkpoint = {};
  if (attempt.frame != kNone) release_frame(std::exchange(attempt.frame, kNone));
}

void AttemptTable::remove(AttemptIndex index) {
  Attempt& attempt = attempts_[index];
  RC_ASSERT(attempt.state != AttemptState::Free && attempt.state != AttemptState::Queued);
  drop_payload(index);
  erase_cell(attempt.id.value());
  attempt.state = AttemptState::Free;
  free_attempts_.push_back(index);
  --size_;
}

void AttemptTable::list(std::vector<AttemptId>& out) const {
  out.clear();
  out.reserve(size_);
  for (const Attempt& attempt : attempts_) {
    if (attempt.state != AttemptState::Free) out.push_back(attempt.id);
  }
}

void AttemptTable::push(AttemptIndex index) {
  Attempt& attempt = attempts_[index];
  Queue& queue = queues_.at(static_cast<std::size_t>(attempt.priority));
  AttemptIndex before = queue.tail;
  if (before != kNone && attempts_[before].order > attempt.order) {
    // Taken back: it belongs near the front, so the walk begins there.
    before = kNone;
    for (AttemptIndex i = queue.head; i != kNone && attempts_[i].order < attempt.order; i = attempts_[i].next)
      before = i;
  }
  attempt.previous = before;
  attempt.next = before == kNone ? queue.head : attempts_[before].next;
  (before == kNone ? queue.head : attempts_[before].next) = index;
  (attempt.next == kNone ? queue.tail : attempts_[attempt.next].previous) = index;
  attempt.state = AttemptState::Queued;
  ++queued_;
}

void AttemptTable::unlink(AttemptIndex index) {
  Attempt& attempt = attempts_[index];
  RC_ASSERT(attempt.state == AttemptState::Queued);
  Queue& queue = queues_.at(static_cast<std::size_t>(attempt.priority));
  (attempt.previous == kNone ? queue.head : attempts_[attempt.previous].next) = attempt.next;
  (attempt.next == kNone ? queue.tail : attempts_[attempt.next].previous) = attempt.previous;
  attempt.previous = attempt.next = kNone;
  attempt.state = AttemptState::Handed;
  --queued_;
}

AttemptIndex AttemptTable::first() const {
  for (std::size_t priority = kPriorityCount; priority > 0; --priority) {
    if (queues_.at(priority).head != kNone) return queues_.at(priority).head;
  }
  return kNone;
}

void AttemptTable::check_invariants() const {
  std::size_t held = 0;
  std::size_t queued = 0;
  std::vector<std::uint32_t> holders(frames_.size());
  for (AttemptIndex i = 0; i < attempts_.size(); ++i) {
    const Attempt& attempt = attempts_[i];
    if (attempt.state == AttemptState::Free) continue;
    ++held;
    queued += attempt.state == AttemptState::Queued ? 1 : 0;
    RC_ASSERT(find(attempt.id) == i);
    if (attempt.frame != kNone) ++holders[attempt.frame];
  }
  RC_ASSERT(held == size_ && queued == queued_);
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < frames_.size(); ++i) {
    RC_ASSERT(frames_[i].holders >= holders[i]);  // and the adopter, until it lets go
    bytes += frames_[i].bytes;
  }
  RC_ASSERT(bytes == frame_bytes_);
  std::size_t linked = 0;
  for (std::size_t priority = 1; priority <= kPriorityCount; ++priority) {
    AttemptIndex before = kNone;
    for (AttemptIndex i = queues_.at(priority).head; i != kNone; i = attempts_[i].next) {
      RC_ASSERT(attempts_[i].state == AttemptState::Queued && attempts_[i].previous == before);
      RC_ASSERT(static_cast<std::size_t>(attempts_[i].priority) == priority);
      RC_ASSERT(before == kNone || attempts_[before].order < attempts_[i].order);
      before = i;
      ++linked;
    }
    RC_ASSERT(queues_.at(priority).tail == before);
  }
  RC_ASSERT(linked == queued_);
}

}  // namespace retire::worker
