// Checks of foreign bytes that build nothing: is this one whole msgpack value, is this text UTF-8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace retire_cluster {

using Bytes = std::span<const std::uint8_t>;

inline constexpr std::size_t kDepthMax = 64;  // maps and lists within each other
inline constexpr std::size_t kItemsMax =
    std::size_t{1024} * 1024;  // values in all; an object tree takes 24 bytes for each
inline constexpr std::size_t kItemsUnlimited = SIZE_MAX;

// Null when `bytes` are exactly one msgpack value, else what is wrong, as a constant text. Neither recursion nor
// allocation: safe on any input. A container that claims more values than there are bytes left is refused at once.
inline const char* check_value(Bytes bytes, std::size_t items_max = kItemsMax) noexcept {
  const std::uint8_t* at = bytes.data();
  const std::uint8_t* const end = at + bytes.size();
  std::uint64_t pending[kDepthMax + 1];  // values still to come at each level
  std::size_t depth = 0;
  std::size_t items = 0;
  pending[0] = 1;

  if (bytes.empty()) return "is empty, where one msgpack value was expected";
  while (true) {
    while (pending[depth] == 0) {
      if (depth == 0) return at == end ? nullptr : "has bytes after its msgpack value";
      --depth;
    }
    --pending[depth];
    if (at == end) return "is cut short";
    if (++items > items_max) return "has too many values";

    const std::uint8_t tag = *at++;
    std::uint64_t skip = 0;      // bytes of a plain value
    std::uint64_t children = 0;  // values of a container
    bool is_container = false;
    const auto left = static_cast<std::uint64_t>(end - at);
    const auto length = [&](unsigned size) noexcept {  // big endian; the caller has checked `left`
      std::uint64_t value = 0;
      for (unsigned i = 0; i < size; ++i) value = value << 8 | at[i];
      at += size;
      return value;
    };

    if (tag <= 0x7f || tag >= 0xe0) {
      continue;  // small integers
    } else if (tag <= 0x8f) {
      is_container = true;
      children = std::uint64_t{2} * (tag & 0x0fu);
    } else if (tag <= 0x9f) {
      is_container = true;
      children = tag & 0x0fu;
    } else if (tag <= 0xbf) {
      skip = tag & 0x1fu;
    } else {
      switch (tag) {
        case 0xc0:
        case 0xc2:
        case 0xc3: continue;
        case 0xcc:
        case 0xd0: skip = 1; break;
        case 0xcd:
        case 0xd1: skip = 2; break;
        case 0xca:
        case 0xce:
        case 0xd2: skip = 4; break;
        case 0xcb:
        case 0xcf:
        case 0xd3: skip = 8; break;
        case 0xd4: skip = 2; break;  // fixext: one byte of type before the data
        case 0xd5: skip = 3; break;
        case 0xd6: skip = 5; break;
        case 0xd7: skip = 9; break;
        case 0xd8: skip = 17; break;
        case 0xc1: return "holds a byte that msgpack never uses (0xc1)";
        default: {
          // c4-c6 bin, c7-c9 ext, d9-db str, dc-dd array, de-df map; each with a length of 1, 2 or 4 bytes.
          unsigned size = 1;
          if (tag == 0xc5 || tag == 0xc8 || tag == 0xda || tag == 0xdc || tag == 0xde) size = 2;
          if (tag == 0xc6 || tag == 0xc9 || tag == 0xdb || tag == 0xdd || tag == 0xdf) size = 4;
          if (left < size) return "is cut short";
          const std::uint64_t count = length(size);
          is_container = tag >= 0xdc;
          if (is_container) {
            children = tag >= 0xde ? 2 * count : count;
          } else {
            skip = tag >= 0xc7 && tag <= 0xc9 ? count + 1 : count;
          }
        }
      }
    }
    const auto rest = static_cast<std::uint64_t>(end - at);
    if (is_container) {
      if (children > rest) return "claims more values than it has bytes";
      if (depth == kDepthMax) return "is nested too deeply (more than 64 levels)";
      pending[++depth] = children;
    } else {
      if (skip > rest) return "is cut short";
      at += skip;
    }
  }
}

// Well-formed UTF-8: no overlong form, no surrogate, nothing above U+10FFFF.
inline bool is_utf8(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* const end = at + text.size();
  const auto follows = [](unsigned char c) { return (c & 0xc0) == 0x80; };
  while (at < end) {
    const unsigned char c = *at;
    const auto left = end - at;
    if (c < 0x80) {
      at += 1;
    } else if (c >= 0xc2 && c <= 0xdf) {
      if (left < 2 || !follows(at[1])) return false;
      at += 2;
    } else if (c >= 0xe0 && c <= 0xef) {
      if (left < 3 || !follows(at[1]) || !follows(at[2])) return false;
      if (c == 0xe0 && at[1] < 0xa0) return false;
      if (c == 0xed && at[1] > 0x9f) return false;
      at += 3;
    } else if (c >= 0xf0 && c <= 0xf4) {
      if (left < 4 || !follows(at[1]) || !follows(at[2]) || !follows(at[3])) return false;
      if (c == 0xf0 && at[1] < 0x90) return false;
      if (c == 0xf4 && at[1] > 0x8f) return false;
      at += 4;
    } else {
      return false;
    }
  }
  return true;
}

}  // namespace retire_cluster
