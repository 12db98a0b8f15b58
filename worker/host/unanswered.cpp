#include "worker/host/unanswered.hpp"

#include <algorithm>

namespace retire::host {
namespace {
constexpr std::size_t kDeadMax = 4096;  // kept at the front, so that each entry is moved once on average
}  // namespace

void Unanswered::add(std::uint64_t sequence) {
  given_.push_back(sequence);
  ++size_;
}

bool Unanswered::take(std::uint64_t sequence) {
  if (size_ == 0) return false;
  if (given_[head_] != sequence) {
    const auto begin = given_.begin() + static_cast<std::ptrdiff_t>(head_);
    const auto found = std::lower_bound(begin, given_.end(), sequence, [](std::uint64_t entry, std::uint64_t wanted) {
      return (entry & ~kAnswered) < wanted;
    });
    if (found == given_.end() || *found != sequence) return false;
    *found |= kAnswered;
  } else {
    given_[head_] |= kAnswered;
  }
  --size_;
  forget_answered();
  return true;
}

void Unanswered::forget_answered() {
  while (head_ < given_.size() && (given_[head_] & kAnswered) != 0) ++head_;
  if (head_ == given_.size()) {
    given_.clear();
    head_ = 0;
  } else if (head_ >= kDeadMax && head_ * 2 >= given_.size()) {
    given_.erase(given_.begin(), given_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
}

}  // namespace retire::host
