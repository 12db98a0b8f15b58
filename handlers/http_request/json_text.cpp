#include "handlers/http_request/json_text.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <retire_cluster/payload.hpp>
#include <string_view>

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

[[noreturn]] void refuse(const char* field, const std::string& what) {
  throw rc::PayloadError(std::string("field \"") + field + "\" cannot be written as JSON: " + what);
}

void write_text(std::string_view text, const char* field, std::string& out) {
  if (!rc::is_utf8(text)) refuse(field, "a string is not UTF-8");
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof(escaped), "\\u%04x", static_cast<unsigned>(c));
      out += escaped;
    } else {
      out += c;
    }
  }
  out += '"';
}

void write_number(double number, const char* field, std::string& out) {
  if (!std::isfinite(number)) refuse(field, "a number is not finite");
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  const std::string_view text(digits, static_cast<std::size_t>(end - digits));
  out += text;
  if (text.find_first_of(".e") == text.npos) out += ".0";  // stays a float for the reader
}

// As deep as the payload, which decode() has bounded.
void write(const msgpack::object& value, const char* field, std::string& out) {
  switch (value.type) {
    case msgpack::type::NIL: out += "null"; return;
    case msgpack::type::BOOLEAN: out += value.via.boolean ? "true" : "false"; return;
    case msgpack::type::POSITIVE_INTEGER: out += std::to_string(value.via.u64); return;
    case msgpack::type::NEGATIVE_INTEGER: out += std::to_string(value.via.i64); return;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64: write_number(value.via.f64, field, out); return;
    case msgpack::type::STR: write_text({value.via.str.ptr, value.via.str.size}, field, out); return;
    case msgpack::type::ARRAY:
      out += '[';
      for (std::uint32_t i = 0; i < value.via.array.size; ++i) {
        if (i > 0) out += ',';
        write(value.via.array.ptr[i], field, out);
      }
      out += ']';
      return;
    case msgpack::type::MAP:
      out += '{';
      for (std::uint32_t i = 0; i < value.via.map.size; ++i) {
        const msgpack::object_kv& entry = value.via.map.ptr[i];
        if (i > 0) out += ',';
        if (entry.key.type != msgpack::type::STR) refuse(field, "a key is not a string");
        write_text({entry.key.via.str.ptr, entry.key.via.str.size}, field, out);
        out += ':';
        write(entry.val, field, out);
      }
      out += '}';
      return;
    default: refuse(field, std::string("it holds ") + rc::type_name(value) + " data");
  }
}

}  // namespace

std::string to_json(const msgpack::object& value, const char* field) {
  std::string out;
  write(value, field, out);
  return out;
}

}  // namespace retire::handlers
