// Which task IDs may be in the store: a Bloom filter over their first eight bytes.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace retire::store {

class IdFilter {
 public:
  // For so many IDs; 16 bits and 4 looks for each, so that about one stranger in 400 is taken for a known one.
  explicit IdFilter(std::size_t ids = 0) : words_(std::bit_ceil(ids / 4 + 1)) {}

  void add(std::uint64_t prefix) {
    std::uint64_t hash = mix(prefix);
    for (int i = 0; i < kLooks; ++i, hash = next(hash)) words_[place(hash)] |= bit(hash);
  }
  bool may_hold(std::uint64_t prefix) const {
    std::uint64_t hash = mix(prefix);
    for (int i = 0; i < kLooks; ++i, hash = next(hash)) {
      if ((words_[place(hash)] & bit(hash)) == 0) return false;
    }
    return true;
  }

 private:
  static constexpr int kLooks = 4;
  static std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 32)) * 0xd6e8feb86659fd93;
    return value ^ (value >> 32);
  }
  static std::uint64_t next(std::uint64_t hash) { return hash * 0x9e3779b97f4a7c15 + 0x632be59bd9b4e019; }
  std::size_t place(std::uint64_t hash) const { return (hash >> 20) & (words_.size() - 1); }
  static std::uint64_t bit(std::uint64_t hash) { return std::uint64_t{1} << (hash >> 58); }

  std::vector<std::uint64_t> words_;
};

}  // namespace retire::store
