#include "handlers/support/bounded_output.hpp"

#include <algorithm>

namespace retire::handlers {

void BoundedOutput::add(std::string_view bytes) {
  total_ += bytes.size();
  if (head_.size() < head_max_) {
    const std::size_t taken = std::min(bytes.size(), head_max_ - head_.size());
    head_ += bytes.substr(0, taken);
    bytes.remove_prefix(taken);
  }
  if (bytes.size() > tail_max_) bytes.remove_prefix(bytes.size() - tail_max_);
  if (tail_.size() < tail_max_) {
    const std::size_t taken = std::min(bytes.size(), tail_max_ - tail_.size());
    tail_ += bytes.substr(0, taken);
    bytes.remove_prefix(taken);
  }
  while (!bytes.empty()) {  // at most twice: up to the end of the ring, and from its beginning
    const std::size_t taken = std::min(bytes.size(), tail_max_ - tail_start_);
    tail_.replace(tail_start_, taken, bytes.substr(0, taken));
    tail_start_ = (tail_start_ + taken) % tail_max_;
    bytes.remove_prefix(taken);
  }
}

void BoundedOutput::clear() {
  head_.clear();
  tail_.clear();
  tail_start_ = 0;
  total_ = 0;
}

std::string BoundedOutput::tail_in_order() const { return tail_.substr(tail_start_) + tail_.substr(0, tail_start_); }

std::string BoundedOutput::text() const {
  if (tail_.empty()) return head_;
  if (!truncated()) return head_ + tail_;  // the ring has not begun to turn
  return head_ + "\n... " + std::to_string(left_out()) + " bytes left out ...\n" + tail_in_order();
}

std::string BoundedOutput::last(std::size_t bytes) const {
  std::string all = tail_.empty() ? head_ : tail_in_order();
  if (all.size() > bytes) all.erase(0, all.size() - bytes);
  return all;
}

}  // namespace retire::handlers
