// Which attempts a host has been given and has not answered yet.
//
// Exact, since a host may claim anything: what was never given to it, and the same twice. Answers come in order,
// mostly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace retire::host {

class Unanswered {
 public:
  // Precondition: `sequence` is greater than all before it, and below 2^63.
  void add(std::uint64_t sequence);
  // It is answered. False if it was not given, or is answered already.
  bool take(std::uint64_t sequence);
  std::size_t size() const { return size_; }

 private:
  static constexpr std::uint64_t kAnswered = std::uint64_t{1} << 63;  // beside the sequence

  void forget_answered();

  std::vector<std::uint64_t> given_;  // growing
  std::size_t head_ = 0;              // all before it are answered
  std::size_t size_ = 0;
};

}  // namespace retire::host
