// Fixed little-endian fields, written to memory that is large enough and read within bounds.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace retire::store {

static_assert(std::endian::native == std::endian::little, "the store's layout is little-endian; swap here elsewhere");

// Writes on; the caller has made room for all of it.
class ByteWriter {
 public:
  explicit ByteWriter(char* at) : at_(at) {}
  template <class T>
  void put(T value) {
    static_assert(std::is_arithmetic_v<T>);
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }
  void raw(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  // A length of type L, and the bytes.
  template <class L>
  void sized(std::string_view bytes) {
    put(static_cast<L>(bytes.size()));
    raw(bytes);
  }
  char* at() const { return at_; }

 private:
  char* at_;
};

// Reads on. Past the end, or after fail(), everything is zero and ok() is false.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : bytes_(bytes) {}
  template <class T>
  T get() {
    static_assert(std::is_arithmetic_v<T>);
    T value{};
    if (bytes_.size() < sizeof value) return fail(), value;
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_.remove_prefix(sizeof value);
    return value;
  }
  std::string_view raw(std::size_t size) {
    if (bytes_.size() < size) return fail(), std::string_view();
    const std::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }
  template <class L>
  std::string_view sized() {
    return raw(get<L>());
  }
  void fail() {
    ok_ = false;
    bytes_ = {};
  }
  bool ok() const { return ok_; }
  bool at_end() const { return ok_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace retire::store
