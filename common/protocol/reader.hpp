// A cursor over msgpack bytes. Private to common/protocol.
//
// It remembers its first failure and then gives defaults, so a message is read straight down and checked once. It
// allocates nothing of its own but the text of that failure.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/model/limits.hpp"
#include "common/model/task.hpp"

namespace retire::protocol {

enum class Kind : std::uint8_t { Nil, Bool, Unsigned, Negative, Float, String, Binary, Array, Map };
std::string_view to_string(Kind kind);

class Reader {
 public:
  explicit Reader(ByteView bytes, int nesting_max = kNestingMax)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()), nesting_max_(nesting_max) {}

  bool failed() const { return failed_; }
  Status status() const { return failed_ ? Status(error_) : ok_status(); }
  bool at_end() const { return at_ == end_; }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

  // Keeps the first failure. `what` names the field being read.
  void fail(ErrorCode code, std::string_view what);

  // What the field being read is called, for failures; `name` must outlive the reading of it.
  void name_field(std::string_view name) { field_ = name; }
  std::string_view field() const { return field_; }

  // Each reads one value of its kind, or fails with Malformed (another kind, cut short) or TooLarge (over size_max).
  void nil();
  bool boolean();
  // Negative: Malformed; beyond max: Invalid.
  std::uint64_t integer(std::uint64_t max = UINT64_MAX) {
    Small small;
    return peek_unsigned(small) && small.value <= max ? pass(small) : any_integer(max);
  }
  std::uint64_t quantity(std::uint64_t max);  // negative or beyond max: Invalid
  std::int64_t signed_integer() {
    Small small;
    return peek_unsigned(small) && small.value <= INT64_MAX ? static_cast<std::int64_t>(pass(small))
                                                            : any_signed_integer();
  }
  double number();                              // an integer or a finite float
  std::string_view text(std::size_t size_max);  // UTF-8
  ByteView binary(std::size_t size_max) {
    if (left() > 2 && byte_at(0) == 0xc4 && byte_at(1) <= size_max && left() - 2 >= byte_at(1)) {
      const ByteView out(at_ + 2, byte_at(1));
      at_ += 2 + out.size();
      return out;
    }
    return any_binary(size_max);
  }
  // Opens it; close with leave().
  std::uint32_t array(std::size_t count_max) {
    if (left() > 0 && (byte_at(0) & 0xf0) == 0x90 && nesting_ < nesting_max_) {
      const std::uint32_t count = byte_at(0) & 0x0fu;
      if (count <= count_max && count < left()) return ++nesting_, ++at_, count;
    }
    return any_array(count_max);
  }
  std::uint32_t map(std::size_t count_max);  // opens it; close with leave()
  void leave() { --nesting_; }
  bool is_nil() const { return at_ != end_ && static_cast<unsigned char>(*at_) == 0xc0; }

  // Reads over one value of any kind and returns its bytes.
  ByteView skip();

  Uuid uuid() {
    if (left() < 2 + Uuid::kBytes || byte_at(0) != 0xc4 || byte_at(1) != Uuid::kBytes) return any_uuid();
    const char* from = at_ + 2;
    at_ = from + Uuid::kBytes;
    return Uuid::from_bytes(from);
  }
  AttemptId attempt() { return AttemptId(integer()); }

 private:
  // Batches are made of a few forms: small arrays, integers of one and nine bytes, short binaries. They are read in
  // place when all is well; everything else, and every failure, goes the general way. After a failure nothing is left.
  struct Small {
    std::uint64_t value = 0;
    std::size_t size = 0;
  };
  unsigned char byte_at(std::size_t i) const { return static_cast<unsigned char>(at_[i]); }
  bool peek_unsigned(Small& out) const {
    if (left() == 0) return false;
    if (byte_at(0) < 0x80) return out = {byte_at(0), 1}, true;
    if (byte_at(0) != 0xcf || left() < 9) return false;
    std::uint64_t value = 0;
    std::memcpy(&value, at_ + 1, sizeof value);
    out = {std::endian::native == std::endian::little ? __builtin_bswap64(value) : value, 9};
    return true;
  }
  std::uint64_t pass(const Small& small) {
    at_ += small.size;
    return small.value;
  }
  std::uint64_t any_integer(std::uint64_t max);
  std::int64_t any_signed_integer();
  ByteView any_binary(std::size_t size_max);
  std::uint32_t any_array(std::size_t count_max);
  Uuid any_uuid();

  struct Head {
    Kind kind = Kind::Nil;
    std::uint64_t value = 0;  // the integer's bits, a bool, or the size or count
    double number = 0;
  };
  Head head();
  Head expect(Kind kind);
  void fail_kind(std::string_view wanted, Kind got);
  bool take(std::size_t size, const char*& from);
  std::uint64_t big_endian(std::size_t size);
  void enter(std::uint64_t count, std::size_t count_max, std::size_t bytes_each);

  const char* at_;
  const char* end_;
  int nesting_max_;
  int nesting_ = 0;
  bool failed_ = false;
  std::string_view field_;
  Error error_;
};

// The fields of a body: a map with text keys, in any order, each of those that are asked for at most once.
//   for (Fields in(reader); in.next();) { if (in.is("ids")) …; else in.skip(); }
class Fields {
 public:
  explicit Fields(Reader& reader) : reader_(reader), left_(reader.map(SIZE_MAX)) {}

  bool next();
  // Whether this is the key; fails with Malformed if it stood before.
  bool is(std::string_view key);
  void skip() { reader_.skip(); }
  // After the last next(): fails with Malformed for each of `keys` that was not there.
  void require(std::initializer_list<std::string_view> keys);

 private:
  static constexpr std::size_t kKnownMax = 32;
  bool seen(std::string_view key) const;

  Reader& reader_;
  std::uint32_t left_;
  std::string_view key_;
  std::array<std::string_view, kKnownMax> known_;  // keys that were asked for and there
  std::size_t known_count_ = 0;
};

}  // namespace retire::protocol
