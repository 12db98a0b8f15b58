// A cursor over msgpack that JSON was made of, or that a peer sent. Private to common/json.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "common/model/task.hpp"

namespace retire::json {

enum class Kind : std::uint8_t { Nil, Bool, Unsigned, Negative, Float, Text, Binary, List, Map, Extension };

// One value's head, and for texts, bins and extensions its bytes. Lists and maps are followed by their values.
struct Token {
  Kind kind = Kind::Nil;
  std::uint64_t whole = 0;    // Unsigned; Bool: 0 or 1; List and Map: number of elements or pairs
  std::int64_t negative = 0;  // Negative; Extension: its type
  double number = 0;          // Float
  std::string_view bytes;     // Text, Binary, Extension

  bool is_whole() const { return kind == Kind::Unsigned; }
  bool is_number() const { return kind == Kind::Unsigned || kind == Kind::Negative || kind == Kind::Float; }
  double as_number() const {
    if (kind == Kind::Float) return number;
    return kind == Kind::Negative ? static_cast<double>(negative) : static_cast<double>(whole);
  }
};

class Cursor {
 public:
  explicit Cursor(ByteView bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  // nullopt when the bytes end too early, or are no msgpack.
  std::optional<Token> next();
  bool at_end() const { return at_ == end_; }
  // Reads over one value and returns its bytes; nullopt as for next(). Neither recursion nor allocation.
  std::optional<ByteView> skip();
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

 private:
  std::optional<std::uint64_t> big_endian(std::size_t size);
  std::optional<Token> sized(Kind kind, std::size_t size_bytes);
  std::optional<Token> taken(Kind kind, std::uint64_t size);
  std::optional<Token> extension(std::uint64_t size);

  const char* at_;
  const char* end_;
};

}  // namespace retire::json
