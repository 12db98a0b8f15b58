#include "common/json/cursor.hpp"

#include <bit>

#include "common/base/assert.hpp"

namespace retire::json {
namespace {

// The two's complement number in the lower `size` bytes, 1 to 8.
std::int64_t sign_extended(std::uint64_t bits, std::size_t size) {
  RC_ASSERT(size >= 1 && size <= 8);
  const std::uint64_t sign = std::uint64_t{1} << (8 * size - 1);
  return static_cast<std::int64_t>((bits ^ sign) - sign);
}

}  // namespace

std::optional<std::uint64_t> Cursor::big_endian(std::size_t size) {
  if (left() < size) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = value << 8 | static_cast<unsigned char>(*at_++);
  return value;
}

std::optional<Token> Cursor::taken(Kind kind, std::uint64_t size) {
  if (left() < size) return std::nullopt;
  Token token;
  token.kind = kind;
  token.bytes = {at_, static_cast<std::size_t>(size)};
  at_ += size;
  return token;
}

std::optional<Token> Cursor::extension(std::uint64_t size) {
  const auto type = big_endian(1);
  if (!type) return std::nullopt;
  auto token = taken(Kind::Extension, size);
  if (token) token->negative = sign_extended(*type, 1);
  return token;
}

// A text, bin, extension, list or map whose size or count follows in `size_bytes` bytes.
std::optional<Token> Cursor::sized(Kind kind, std::size_t size_bytes) {
  const auto size = big_endian(size_bytes);
  if (!size) return std::nullopt;
  if (kind == Kind::Extension) return extension(*size);
  if (kind == Kind::List || kind == Kind::Map) {
    Token token;
    token.kind = kind;
    token.whole = *size;
    return token;
  }
  return taken(kind, *size);
}

std::optional<Token> Cursor::next() {
  if (at_end()) return std::nullopt;
  const auto tag = static_cast<unsigned char>(*at_++);
  Token token;
  const auto whole = [&](std::uint64_t value) {
    token.kind = Kind::Unsigned;
    token.whole = value;
    return token;
  };
  const auto with_sign = [&](std::int64_t value) {
    if (value >= 0) return whole(static_cast<std::uint64_t>(value));
    token.kind = Kind::Negative;
    token.negative = value;
    return token;
  };
  const auto container = [&](Kind kind, std::uint64_t count) {
    token.kind = kind;
    token.whole = count;
    return token;
  };
  if (tag <= 0x7f) return whole(tag);
  if (tag >= 0xe0) return with_sign(sign_extended(tag, 1));
  if (tag <= 0x8f) return container(Kind::Map, tag & 0x0fu);
  if (tag <= 0x9f) return container(Kind::List, tag & 0x0fu);
  if (tag <= 0xbf) return taken(Kind::Text, tag & 0x1fu);
  const auto unsigned_of = [&](std::size_t size) -> std::optional<Token> {
    const auto value = big_endian(size);
    return value ? std::optional<Token>(whole(*value)) : std::nullopt;
  };
  const auto signed_of = [&](std::size_t size) -> std::optional<Token> {
    const auto value = big_endian(size);
    if (!value) return std::nullopt;
    return with_sign(sign_extended(*value, size));
  };
  const auto number = [&](std::size_t size) -> std::optional<Token> {
    const auto bits = big_endian(size);
    if (!bits) return std::nullopt;
    token.kind = Kind::Float;
    token.number = size == 4 ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(*bits)))
                             : std::bit_cast<double>(*bits);
    return token;
  };
  switch (tag) {
    case 0xc0: return token;
    case 0xc2:
    case 0xc3:
      token.kind = Kind::Bool;
      token.whole = tag & 1u;
      return token;
    case 0xc4: return sized(Kind::Binary, 1);
    case 0xc5: return sized(Kind::Binary, 2);
    case 0xc6: return sized(Kind::Binary, 4);
    case 0xc7: return sized(Kind::Extension, 1);
    case 0xc8: return sized(Kind::Extension, 2);
    case 0xc9: return sized(Kind::Extension, 4);
    case 0xca: return number(4);
    case 0xcb: return number(8);
    case 0xcc: return unsigned_of(1);
    case 0xcd: return unsigned_of(2);
    case 0xce: return unsigned_of(4);
    case 0xcf: return unsigned_of(8);
    case 0xd0: return signed_of(1);
    case 0xd1: return signed_of(2);
    case 0xd2: return signed_of(4);
    case 0xd3: return signed_of(8);
    case 0xd4: return extension(1);
    case 0xd5: return extension(2);
    case 0xd6: return extension(4);
    case 0xd7: return extension(8);
    case 0xd8: return extension(16);
    case 0xd9: return sized(Kind::Text, 1);
    case 0xda: return sized(Kind::Text, 2);
    case 0xdb: return sized(Kind::Text, 4);
    case 0xdc: return sized(Kind::List, 2);
    case 0xdd: return sized(Kind::List, 4);
    case 0xde: return sized(Kind::Map, 2);
    case 0xdf: return sized(Kind::Map, 4);
    default: return std::nullopt;
  }
}

std::optional<ByteView> Cursor::skip() {
  const char* from = at_;
  // Each container adds its values to the ones still to come; each value is at least a byte, so this ends.
  for (std::uint64_t pending = 1; pending > 0; --pending) {
    const auto token = next();
    if (!token) return std::nullopt;
    if (token->kind == Kind::List) pending += token->whole;
    if (token->kind == Kind::Map) pending += 2 * token->whole;
  }
  return ByteView(from, static_cast<std::size_t>(at_ - from));
}

}  // namespace retire::json
