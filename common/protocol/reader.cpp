#include "common/protocol/reader.hpp"

#include <bit>
#include <cmath>
#include <cstring>

namespace retire::protocol {
namespace {

// Accepts what RFC 3629 calls well-formed: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  while (at != end) {
    if (*at < 0x80) {
      ++at;
      continue;
    }
    std::size_t more = 0;
    unsigned low = 0x80;
    unsigned high = 0xbf;
    if (*at >= 0xc2 && *at <= 0xdf) {
      more = 1;
    } else if (*at >= 0xe0 && *at <= 0xef) {
      more = 2;
      if (*at == 0xe0) low = 0xa0;
      if (*at == 0xed) high = 0x9f;
    } else if (*at >= 0xf0 && *at <= 0xf4) {
      more = 3;
      if (*at == 0xf0) low = 0x90;
      if (*at == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    if (static_cast<std::size_t>(end - at) <= more) return false;
    if (at[1] < low || at[1] > high) return false;
    for (std::size_t i = 2; i <= more; ++i) {
      if ((at[i] & 0xc0) != 0x80) return false;
    }
    at += more + 1;
  }
  return true;
}

}  // namespace

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::Nil: return "nil";
    case Kind::Bool: return "bool";
    case Kind::Unsigned: return "uint";
    case Kind::Negative: return "negative int";
    case Kind::Float: return "float";
    case Kind::String: return "str";
    case Kind::Binary: return "bin";
    case Kind::Array: return "array";
    case Kind::Map: return "map";
  }
  return "";
}

void Reader::fail(ErrorCode code, std::string_view what) {
  if (failed_) return;
  failed_ = true;
  error_.code = code;
  error_.detail = field_.empty() ? std::string(what) : std::string(field_) + ": " + std::string(what);
  at_ = end_;
}

void Reader::fail_kind(std::string_view wanted, Kind got) {
  if (failed_) return;
  fail(ErrorCode::Malformed, "must be " + std::string(wanted) + ", got " + std::string(to_string(got)));
}

bool Reader::take(std::size_t size, const char*& from) {
  if (left() < size) {
    fail(ErrorCode::Malformed, "cut short");
    return false;
  }
  from = at_;
  at_ += size;
  return true;
}

std::uint64_t Reader::big_endian(std::size_t size) {
  const char* from = nullptr;
  if (!take(size, from)) return 0;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) value = (value << 8) | static_cast<unsigned char>(from[i]);
  return value;
}

Reader::Head Reader::head() {
  const char* from = nullptr;
  if (!take(1, from)) return {};
  const auto byte = static_cast<unsigned char>(*from);
  if (byte < 0x80) return {Kind::Unsigned, byte, 0};
  if (byte < 0x90) return {Kind::Map, byte & 0x0fu, 0};
  if (byte < 0xa0) return {Kind::Array, byte & 0x0fu, 0};
  if (byte < 0xc0) return {Kind::String, byte & 0x1fu, 0};
  if (byte >= 0xe0)
    return {Kind::Negative, static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<std::int8_t>(byte))), 0};
  switch (byte) {
    case 0xc0: return {Kind::Nil, 0, 0};
    case 0xc2: return {Kind::Bool, 0, 0};
    case 0xc3: return {Kind::Bool, 1, 0};
    case 0xc4: return {Kind::Binary, big_endian(1), 0};
    case 0xc5: return {Kind::Binary, big_endian(2), 0};
    case 0xc6: return {Kind::Binary, big_endian(4), 0};
    case 0xca: {
      const float value = std::bit_cast<float>(static_cast<std::uint32_t>(big_endian(4)));
      if (!std::isfinite(value)) fail(ErrorCode::Malformed, "a float that is not finite");
      return {Kind::Float, 0, static_cast<double>(value)};
    }
    case 0xcb: {
      const double value = std::bit_cast<double>(big_endian(8));
      if (!std::isfinite(value)) fail(ErrorCode::Malformed, "a float that is not finite");
      return {Kind::Float, 0, value};
    }
    case 0xcc: return {Kind::Unsigned, big_endian(1), 0};
    case 0xcd: return {Kind::Unsigned, big_endian(2), 0};
    case 0xce: return {Kind::Unsigned, big_endian(4), 0};
    case 0xcf: return {Kind::Unsigned, big_endian(8), 0};
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3: {
      const std::size_t size = std::size_t{1} << (byte - 0xd0);
      const std::uint64_t raw = big_endian(size);
      const int shift = static_cast<int>(64 - 8 * size);
      const std::int64_t value = static_cast<std::int64_t>(raw << shift) >> shift;
      return {value < 0 ? Kind::Negative : Kind::Unsigned, static_cast<std::uint64_t>(value), 0};
    }
    case 0xd9: return {Kind::String, big_endian(1), 0};
    case 0xda: return {Kind::String, big_endian(2), 0};
    case 0xdb: return {Kind::String, big_endian(4), 0};
    case 0xdc: return {Kind::Array, big_endian(2), 0};
    case 0xdd: return {Kind::Array, big_endian(4), 0};
    case 0xde: return {Kind::Map, big_endian(2), 0};
    case 0xdf: return {Kind::Map, big_endian(4), 0};
    default: break;
  }
  fail(ErrorCode::Malformed, "an ext type, or a byte that msgpack does not use");
  return {};
}

Reader::Head Reader::expect(Kind kind) {
  const Head value = head();
  if (!failed_ && value.kind != kind) fail_kind(to_string(kind), value.kind);
  return failed_ ? Head{} : value;
}

void Reader::nil() { expect(Kind::Nil); }
bool Reader::boolean() { return expect(Kind::Bool).value != 0; }

std::uint64_t Reader::any_integer(std::uint64_t max) {
  const Head value = head();
  if (failed_) return 0;
  if (value.kind != Kind::Unsigned) {
    fail_kind("uint", value.kind);
    return 0;
  }
  if (value.value > max) {
    fail(ErrorCode::Invalid, "must be at most " + std::to_string(max) + ", got " + std::to_string(value.value));
    return 0;
  }
  return value.value;
}

std::uint64_t Reader::quantity(std::uint64_t max) {
  Reader ahead = *this;
  const Head value = ahead.head();
  if (!ahead.failed_ && value.kind == Kind::Negative) {
    fail(ErrorCode::Invalid, "must not be negative, got " + std::to_string(static_cast<std::int64_t>(value.value)));
    return 0;
  }
  return integer(max);
}

std::int64_t Reader::any_signed_integer() {
  const Head value = head();
  if (failed_) return 0;
  if (value.kind != Kind::Unsigned && value.kind != Kind::Negative) {
    fail_kind("int", value.kind);
    return 0;
  }
  if (value.kind == Kind::Unsigned && value.value > static_cast<std::uint64_t>(INT64_MAX)) {
    fail(ErrorCode::Invalid, "must be within 64 bits with a sign");
    return 0;
  }
  return static_cast<std::int64_t>(value.value);
}

double Reader::number() {
  const Head value = head();
  if (failed_) return 0;
  switch (value.kind) {
    case Kind::Float: return value.number;
    case Kind::Unsigned: return static_cast<double>(value.value);
    case Kind::Negative: return static_cast<double>(static_cast<std::int64_t>(value.value));
    default: fail_kind("a number", value.kind); return 0;
  }
}

std::string_view Reader::text(std::size_t size_max) {
  const Head value = expect(Kind::String);
  if (failed_) return {};
  if (value.value > size_max) {
    fail(ErrorCode::TooLarge, "longer than " + std::to_string(size_max) + " bytes");
    return {};
  }
  const char* from = nullptr;
  if (!take(static_cast<std::size_t>(value.value), from)) return {};
  const std::string_view text(from, static_cast<std::size_t>(value.value));
  if (!is_utf8(text)) {
    fail(ErrorCode::Malformed, "not UTF-8");
    return {};
  }
  return text;
}

ByteView Reader::any_binary(std::size_t size_max) {
  const Head value = expect(Kind::Binary);
  if (failed_) return {};
  if (value.value > size_max) {
    fail(ErrorCode::TooLarge, "larger than " + std::to_string(size_max) + " bytes");
    return {};
  }
  const char* from = nullptr;
  if (!take(static_cast<std::size_t>(value.value), from)) return {};
  return {from, static_cast<std::size_t>(value.value)};
}

void Reader::enter(std::uint64_t count, std::size_t count_max, std::size_t bytes_each) {
  if (failed_) return;
  if (++nesting_ > nesting_max_) {
    fail(ErrorCode::TooLarge, "nested deeper than " + std::to_string(nesting_max_));
  } else if (count > count_max) {
    fail(ErrorCode::TooLarge, "more than " + std::to_string(count_max) + " entries");
  } else if (count > left() / bytes_each) {
    fail(ErrorCode::Malformed, "cut short");
  }
}

std::uint32_t Reader::any_array(std::size_t count_max) {
  const Head value = expect(Kind::Array);
  enter(value.value, count_max, 1);
  return failed_ ? 0 : static_cast<std::uint32_t>(value.value);
}

std::uint32_t Reader::map(std::size_t count_max) {
  const Head value = expect(Kind::Map);
  enter(value.value, count_max, 2);
  return failed_ ? 0 : static_cast<std::uint32_t>(value.value);
}

// Iterative over siblings and recursive over nesting, which nesting_max_ bounds.
ByteView Reader::skip() {
  const char* start = at_;
  const Head value = head();
  if (failed_) return {};
  switch (value.kind) {
    case Kind::String:
    case Kind::Binary: {
      const char* from = nullptr;
      if (!take(static_cast<std::size_t>(value.value), from)) return {};
      if (value.kind == Kind::String && !is_utf8({from, static_cast<std::size_t>(value.value)})) {
        fail(ErrorCode::Malformed, "not UTF-8");
        return {};
      }
      break;
    }
    case Kind::Array:
    case Kind::Map: {
      const std::uint64_t each = value.kind == Kind::Map ? 2 : 1;
      enter(value.value, SIZE_MAX, each);
      for (std::uint64_t i = 0; i < value.value * each && !failed_; ++i) skip();
      leave();
      break;
    }
    default: break;
  }
  return failed_ ? ByteView{} : ByteView(start, static_cast<std::size_t>(at_ - start));
}

Uuid Reader::any_uuid() {
  const ByteView bytes = any_binary(kMessageBytesMax);
  if (failed_) return {};
  if (bytes.size() != Uuid::kBytes) {
    fail(ErrorCode::Malformed, "must be a bin of 16 bytes, got " + std::to_string(bytes.size()));
    return {};
  }
  return Uuid::from_bytes(bytes.data());
}

bool Fields::seen(std::string_view key) const {
  for (std::size_t i = 0; i < known_count_; ++i) {
    if (known_[i] == key) return true;
  }
  return false;
}

bool Fields::next() {
  if (reader_.failed()) return false;
  reader_.name_field({});
  if (left_ == 0) {
    reader_.leave();
    return false;
  }
  --left_;
  key_ = reader_.text(SIZE_MAX);
  if (reader_.failed()) return false;
  reader_.name_field(key_);
  return true;
}

bool Fields::is(std::string_view key) {
  if (key_ != key) return false;
  if (seen(key)) {
    reader_.fail(ErrorCode::Malformed, "stands twice");
    return true;  // what is read now fails at once
  }
  RC_ASSERT(known_count_ < kKnownMax);
  known_[known_count_++] = key;
  return true;
}

void Fields::require(std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) {
    if (reader_.failed()) return;
    if (!seen(key)) {
      reader_.name_field(key);
      reader_.fail(ErrorCode::Malformed, "is missing");
    }
  }
}

}  // namespace retire::protocol
