#include "common/base/ids.hpp"

namespace retire {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

constexpr bool is_dash_position(std::size_t i) { return i == 8 || i == 13 || i == 18 || i == 23; }
constexpr std::size_t kTextSize = 36;

}  // namespace

std::optional<Uuid> Uuid::parse(std::string_view text) {
  if (text.size() != kTextSize) return std::nullopt;
  std::array<std::uint64_t, 2> half{};
  std::size_t digits = 0;
  for (std::size_t i = 0; i < kTextSize; ++i) {
    if (is_dash_position(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int digit = hex_digit(text[i]);
    if (digit < 0) return std::nullopt;
    std::uint64_t& word = half.at(digits / 16);
    word = (word << 4) | static_cast<std::uint64_t>(digit);
    ++digits;
  }
  return Uuid(half[0], half[1]);
}

std::string Uuid::bytes() const {
  std::string out(kBytes, '\0');
  to_bytes(out.data());
  return out;
}

std::string Uuid::text() const {
  std::string out;
  out.reserve(kTextSize);
  for (std::size_t i = 0; i < 32; ++i) {
    if (is_dash_position(out.size())) out.push_back('-');
    const std::uint64_t word = i < 16 ? high_ : low_;
    out.push_back("0123456789abcdef"[(word >> (60 - 4 * (i % 16))) & 15]);
  }
  return out;
}

}  // namespace retire
