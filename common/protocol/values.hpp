// The parts that several messages share. Private to common/protocol.
#pragma once

#include <msgpack/pack.hpp>
#include <string>
#include <vector>

#include "common/model/messages.hpp"
#include "common/protocol/reader.hpp"

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

void read_texts(Reader& in, std::size_t count_max, std::vector<std::string>& out);
void read_attempts(Reader& in, std::size_t count_max, std::vector<AttemptId>& out);
void read_uuids(Reader& in, std::vector<TaskId>& out);
void read_resources(Reader& in, Resources& out);
void read_requirements(Reader& in, Requirements& out);
void read_spec(Reader& in, TaskSpec& out);
void read_capabilities(Reader& in, Capabilities& out);
// Checks log lines and returns their bytes; empty for nil or an empty list.
ByteView read_log_lines(Reader& in);
WallTime read_time(Reader& in);
// Skips what a newer peer has added to an item that has `count` elements, of which `known` were read.
void skip_rest(Reader& in, std::uint32_t count, std::uint32_t known);

// Every key when `full`, else those that differ from their defaults.
void pack_requirements(Packer& out, const Requirements& requirements, bool full);
void pack_spec(Packer& out, const TaskSpec& spec);
void pack_capability_fields(Packer& out, const Capabilities& capabilities);  // key and value pairs, no header
std::size_t capability_field_count(const Capabilities& capabilities);
void pack_capabilities(Packer& out, const Capabilities& capabilities);

}  // namespace retire::protocol
