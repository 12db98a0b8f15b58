// Writing msgpack: values, and the fields of a map. Private to common/protocol.
#pragma once

#include <msgpack/pack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/model/messages.hpp"

namespace retire::protocol {

// Appends msgpack to a string.
struct StringSink {
  std::string* out;
  void write(const char* data, std::size_t size) { out->append(data, size); }
};

class Packer {
 public:
  explicit Packer(std::string& out) : sink_{&out}, packer_(sink_) {}
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  void nil() { packer_.pack_nil(); }
  void boolean(bool value) { value ? packer_.pack_true() : packer_.pack_false(); }
  void integer(std::uint64_t value) { packer_.pack_uint64(value); }
  void signed_integer(std::int64_t value) { packer_.pack_int64(value); }
  void number(double value);  // an integer where it is one
  void text(std::string_view value) {
    packer_.pack_str(static_cast<std::uint32_t>(value.size()));
    packer_.pack_str_body(value.data(), static_cast<std::uint32_t>(value.size()));
  }
  void binary(ByteView value) {
    packer_.pack_bin(static_cast<std::uint32_t>(value.size()));
    packer_.pack_bin_body(value.data(), static_cast<std::uint32_t>(value.size()));
  }
  void array(std::size_t count) { packer_.pack_array(static_cast<std::uint32_t>(count)); }
  void map(std::size_t count) { packer_.pack_map(static_cast<std::uint32_t>(count)); }
  void uuid(const Uuid& value);
  void uuids(const std::vector<TaskId>& ids);
  void attempts(const std::vector<AttemptId>& attempts);
  void texts(const std::vector<std::string>& values);
  void time(WallTime time);  // zero: nil
  void text_or_nil(std::string_view value) { value.empty() ? nil() : text(value); }
  void raw(std::string_view bytes) { sink_.out->append(bytes); }

 private:
  StringSink sink_;
  msgpack::packer<StringSink> packer_;
};

// Opens a frame up to its body, which the caller writes next.
void pack_envelope(Packer& out, MessageType type, std::uint64_t correlation);

// A key and its value.
inline void field(Packer& out, std::string_view key, std::string_view text) {
  out.text(key);
  out.text(text);
}
inline void field(Packer& out, std::string_view key, std::uint64_t value) {
  out.text(key);
  out.integer(value);
}
inline void field_number(Packer& out, std::string_view key, double value) {
  out.text(key);
  out.number(value);
}
inline void field_bool(Packer& out, std::string_view key, bool value) {
  out.text(key);
  out.boolean(value);
}
inline void field_time(Packer& out, std::string_view key, WallTime value) {
  out.text(key);
  out.time(value);
}
inline void field_or_nil(Packer& out, std::string_view key, std::string_view text) {
  out.text(key);
  out.text_or_nil(text);
}

inline void pack_data(Packer& out, const std::optional<ByteView>& data) { data ? out.binary(*data) : out.nil(); }

inline std::int64_t ms(Duration duration) { return duration.count() / 1000; }

// At most `size_max` bytes, and no half character at the end.
inline std::string_view cut(std::string_view text, std::size_t size_max) {
  if (text.size() <= size_max) return text;
  std::size_t size = size_max;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size);
}

}  // namespace retire::protocol
