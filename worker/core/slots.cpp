#include "worker/core/slots.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace retire::worker {

void Slot::hand(Sequence sequence, AttemptIndex attempt, std::size_t bytes) {
  entries_.push_back({sequence, attempt, static_cast<std::uint32_t>(bytes)});
  ++open_;
  bytes_ += bytes;
}

Slot::Entry* Slot::find(Sequence sequence) {
  if (head_ == entries_.size()) return nullptr;
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(head_);
  auto found = begin;
  if (found->sequence != sequence) {
    found = std::lower_bound(begin, entries_.end(), sequence,
                             [](const Entry& entry, Sequence wanted) { return entry.sequence < wanted; });
  }
  if (found == entries_.end() || found->sequence != sequence || found->attempt == kNone) return nullptr;
  return &*found;
}

void Slot::close(Entry& entry) {
  RC_ASSERT(entry.attempt != kNone && open_ > 0);
  entry.attempt = kNone;
  --open_;
  bytes_ -= entry.bytes;
}

Slot::Entry* Slot::first() {
  tidy();
  return head_ == entries_.size() ? nullptr : &entries_[head_];
}

void Slot::tidy() {
  constexpr std::size_t kFrontMax = 8'192;
  while (head_ < entries_.size() && entries_[head_].attempt == kNone) ++head_;
  if (head_ == entries_.size()) {
    entries_.clear();
    head_ = 0;
  } else if (head_ > kFrontMax) {
    entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace retire::worker
