// Output of a program in bounded memory: its head and its tail are kept, for an error stands at either end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace retire::handlers {

class BoundedOutput {
 public:
  // Keeps the first half and the last half of `bytes_max`. Memory is taken as output comes.
  explicit BoundedOutput(std::size_t bytes_max) : head_max_(bytes_max / 2), tail_max_(bytes_max - bytes_max / 2) {}

  void add(std::string_view bytes);
  void clear();

  bool truncated() const { return left_out() > 0; }
  std::uint64_t left_out() const { return total_ - head_.size() - tail_.size(); }

  // All of it, or the head and the tail with one line between that says how many bytes are missing. Not yet UTF-8.
  std::string text() const;
  // The last `bytes` at most.
  std::string last(std::size_t bytes) const;

 private:
  std::string tail_in_order() const;

  std::size_t head_max_;
  std::size_t tail_max_;
  std::string head_;
  std::string tail_;            // a ring once it is full
  std::size_t tail_start_ = 0;  // where the oldest byte of the ring is
  std::uint64_t total_ = 0;
};

}  // namespace retire::handlers
