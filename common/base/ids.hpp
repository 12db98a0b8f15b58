// Identifiers that cannot be mistaken for one another.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace retire {

// An integer that cannot be mistaken for another one. 0 means "none".
template <class Tag>
class Id {
 public:
  constexpr Id() = default;
  constexpr explicit Id(std::uint64_t value) : value_(value) {}
  constexpr std::uint64_t value() const { return value_; }
  constexpr explicit operator bool() const { return value_ != 0; }
  friend constexpr auto operator<=>(const Id&, const Id&) = default;

 private:
  std::uint64_t value_ = 0;
};

// One run of one task on one device: main's epoch in the upper 24 bits, a counter in the lower 40. Never used twice.
using AttemptId = Id<struct AttemptTag>;
constexpr int kAttemptCounterBits = 40;
constexpr AttemptId make_attempt(std::uint64_t epoch, std::uint64_t counter) {
  return AttemptId((epoch << kAttemptCounterBits) | counter);
}

// 128 bits, compared and hashed as a whole: a task's UUID, or the random name of a process.
class Uuid {
 public:
  static constexpr std::size_t kBytes = 16;

  constexpr Uuid() = default;
  constexpr Uuid(std::uint64_t high, std::uint64_t low) : high_(high), low_(low) {}
  // From 16 bytes in network order; `bytes` must hold that many.
  static Uuid from_bytes(const char* bytes);
  // "123e4567-e89b-12d3-a456-426614174000", any case; nullopt for anything else.
  static std::optional<Uuid> parse(std::string_view text);
  // A version 4 UUID from 128 random bits.
  static constexpr Uuid random(std::uint64_t high, std::uint64_t low) {
    return {(high & ~0xf000ull) | 0x4000ull, (low & ~(3ull << 62)) | (2ull << 62)};
  }

  void to_bytes(char* out) const;  // writes 16 bytes
  std::string bytes() const;
  std::string text() const;
  constexpr std::uint64_t high() const { return high_; }
  constexpr std::uint64_t low() const { return low_; }
  constexpr explicit operator bool() const { return (high_ | low_) != 0; }
  friend constexpr auto operator<=>(const Uuid&, const Uuid&) = default;

 private:
  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};
using TaskId = Uuid;
using InstanceId = Uuid;

inline Uuid Uuid::from_bytes(const char* bytes) {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, bytes, 8);
  std::memcpy(&low, bytes + 8, 8);
  return {__builtin_bswap64(high), __builtin_bswap64(low)};
}

inline void Uuid::to_bytes(char* out) const {
  const std::uint64_t high = __builtin_bswap64(high_);
  const std::uint64_t low = __builtin_bswap64(low_);
  std::memcpy(out, &high, 8);
  std::memcpy(out + 8, &low, 8);
}

}  // namespace retire
