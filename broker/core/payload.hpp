// A task's payload: its bytes, or, when they lie in the store only, what is needed to know them again.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "common/base/assert.hpp"
#include "common/base/pages.hpp"

namespace retire::core {

// Not for keys or secrets: it tells different content apart, as a checksum does. 64 bits, the same in every process.
inline std::uint64_t content_hash(std::string_view bytes) {
  const auto mix = [](std::uint64_t a, std::uint64_t b) {
    const unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  std::uint64_t hash = bytes.size() + 0x9e3779b97f4a7c15ull;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  std::uint64_t a = 0;
  std::uint64_t b = 0;
  for (; left > 16; at += 16, left -= 16) {
    std::memcpy(&a, at, 8);
    std::memcpy(&b, at + 8, 8);
    hash = mix(a ^ 0xa0761d6478bd642full, b ^ hash);
  }
  a = b = 0;
  if (left > 8) {
    std::memcpy(&a, at, 8);
    std::memcpy(&b, at + 8, left - 8);
  } else if (left > 0) {
    std::memcpy(&a, at, left);
  }
  return mix(mix(a ^ 0xe7037ed1a0b428dbull, b ^ hash), 0x8ebc6af09c88c6e3ull ^ bytes.size());
}

// Eight bytes in the record of a task. Present: where one allocation lies, and its size unless that is large, so that
// counting the queue's bytes touches no payload. Absent: the size and 38 bits of a hash, so that a repeated submission
// can be told from another one, and the queue's bytes be counted, without asking the store. Empty bytes need no
// allocation and are never absent.
class Payload {
 public:
  static constexpr std::size_t kBytesMax = (std::size_t{1} << 25) - 1;

  Payload() = default;
  // Precondition of both: at most kBytesMax bytes.
  explicit Payload(std::string_view bytes) {
    if (bytes.empty()) return;
    RC_ASSERT(bytes.size() <= kBytesMax);
    const bool large = bytes.size() >= kLarge;
    auto* data = static_cast<char*>(std::malloc((large ? kHeader : 0) + bytes.size()));
    RC_ASSERT(data != nullptr);
    const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(data));
    RC_ASSERT(address % kAlignment == 0 && address >> kAddressBits == 0);
    if (large) {
      const std::uint64_t size = bytes.size();
      std::memcpy(data, &size, kHeader);
    }
    std::memcpy(data + (large ? kHeader : 0), bytes.data(), bytes.size());
    word_ = address / kAlignment << (kSizeBits + 1) | (large ? kLarge : bytes.size()) << 1;
  }
  static Payload absent(std::string_view bytes) {
    Payload out;
    out.word_ = absent_word(bytes);
    return out;
  }
  Payload(Payload&& other) noexcept : word_(std::exchange(other.word_, 0)) {}
  Payload& operator=(Payload&& other) noexcept {
    std::swap(word_, other.word_);
    return *this;
  }
  ~Payload() { free(); }

  bool is_absent() const { return (word_ & 1) != 0; }
  std::size_t size() const {
    if (is_absent()) return (word_ >> 1) & kBytesMax;
    const std::uint64_t size = (word_ >> 1) & kLarge;
    return size < kLarge ? size : view().size();
  }
  // What it takes of the memory budget.
  std::size_t resident() const { return is_absent() ? 0 : size(); }
  // Empty while absent.
  std::string_view view() const {
    if (word_ == 0 || is_absent()) return {};
    std::uint64_t size = (word_ >> 1) & kLarge;
    if (size < kLarge) return {data(), size};
    std::memcpy(&size, data(), kHeader);
    return {data() + kHeader, size};
  }
  // Whether these are its bytes. Of an absent one by size and hash: wrong once in 10^11 times.
  bool is(std::string_view bytes) const {
    if (bytes.size() != size()) return false;
    return is_absent() ? word_ == absent_word(bytes) : view() == bytes;
  }
  // Lets go of the bytes. Precondition: the store has them.
  void drop() {
    if (word_ == 0 || is_absent()) return;
    const std::uint64_t word = absent_word(view());
    free();
    word_ = word;
  }
  // Its memory is about to be touched: read or freed.
  void fetch() const {
    if (word_ != 0 && !is_absent()) prefetch(data());
  }

 private:
  static constexpr int kSizeBits = 18;
  static constexpr std::uint64_t kLarge = (std::uint64_t{1} << kSizeBits) - 1;  // its size stands before its bytes
  static constexpr std::size_t kHeader = 8;
  static constexpr std::uint64_t kAlignment = 8;  // at least, of malloc's memory
  static constexpr int kAddressBits = 48;         // of a process on every processor this runs on

  static std::uint64_t absent_word(std::string_view bytes) {
    if (bytes.empty()) return 0;
    RC_ASSERT(bytes.size() <= kBytesMax);
    return content_hash(bytes) << 26 | bytes.size() << 1 | 1;
  }
  char* data() const {
    return reinterpret_cast<char*>(static_cast<std::uintptr_t>((word_ >> (kSizeBits + 1)) * kAlignment));
  }
  void free() {
    if (word_ != 0 && !is_absent()) std::free(data());
    word_ = 0;
  }

  std::uint64_t word_ = 0;
};

}  // namespace retire::core
