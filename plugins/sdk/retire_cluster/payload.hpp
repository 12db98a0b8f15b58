// Reading a payload: bounded decoding, and fields by name with errors that a person can act on.
//
// Everything that decode() and Fields give points into the payload's bytes, so it is valid until run() returns.
// Errors are thrown as PayloadError; the wrapper turns them into a failure that is not retried.
#pragma once

#include <retire_cluster/error.hpp>
#include <retire_cluster/msgpack_check.hpp>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace retire_cluster {

// What a value is, in words for people.
inline const char* type_name(const msgpack::object& value) noexcept {
  switch (value.type) {
    case msgpack::type::NIL: return "null";
    case msgpack::type::BOOLEAN: return "boolean";
    case msgpack::type::POSITIVE_INTEGER:
    case msgpack::type::NEGATIVE_INTEGER: return "integer";
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64: return "number";
    case msgpack::type::STR: return "string";
    case msgpack::type::BIN: return "binary";
    case msgpack::type::ARRAY: return "list";
    case msgpack::type::MAP: return "map";
    default: return "extension";
  }
}

// Builds the object tree of one msgpack value in `zone`, without copying strings. Throws PayloadError on anything that
// is not exactly one value within kDepthMax and kItemsMax.
inline msgpack::object decode(Bytes bytes, msgpack::zone& zone) {
  if (const char* wrong = check_value(bytes)) throw PayloadError(std::string("payload: ") + wrong);
  std::size_t offset = 0;
  bool referenced = false;
  const auto by_reference = [](msgpack::type::object_type, std::size_t, void*) { return true; };
  return msgpack::unpack(zone, reinterpret_cast<const char*>(bytes.data()), bytes.size(), offset, referenced,
                         by_reference);
}

// The fields of a map. Each getter throws PayloadError naming the field when it is missing (unless there is a
// fallback), of the wrong type or out of range. A field that is null counts as left out.
class Fields {
 public:
  // Any field name is accepted.
  explicit Fields(const msgpack::object& map, std::string_view where = {}) : where_(where) {
    if (map.type != msgpack::type::MAP) {
      throw PayloadError(where_.empty() ? std::string("payload must be a map, got ") + type_name(map)
                                        : wrong(std::string_view{}, "must be a map", map));
    }
    entries_ = map.via.map.ptr;
    size_ = map.via.map.size;
    for (std::uint32_t i = 0; i < size_; ++i) {
      if (entries_[i].key.type != msgpack::type::STR) {
        throw PayloadError(std::string(where_.empty() ? "payload" : where_) + ": keys must be strings, got " +
                           type_name(entries_[i].key));
      }
    }
  }

  // Only the `known` fields are accepted, each once, so that a misspelt one does not go unnoticed.
  Fields(const msgpack::object& map, std::initializer_list<std::string_view> known) : Fields(map) {
    for (std::uint32_t i = 0; i < size_; ++i) {
      const std::string_view key = key_at(i);
      bool is_known = false;
      for (const std::string_view name : known) is_known = is_known || name == key;
      if (!is_known) throw PayloadError(unknown(key, known));
      for (std::uint32_t j = 0; j < i; ++j) {
        if (key_at(j) == key) throw PayloadError("field " + quoted(key) + " is given twice");
      }
    }
  }

  // Null when the field is left out.
  const msgpack::object* find(std::string_view name) const noexcept {
    for (std::uint32_t i = 0; i < size_; ++i) {
      if (key_at(i) == name) return entries_[i].val.type == msgpack::type::NIL ? nullptr : &entries_[i].val;
    }
    return nullptr;
  }
  bool has(std::string_view name) const noexcept { return find(name) != nullptr; }

  const msgpack::object& value(std::string_view name) const {
    const msgpack::object* found = find(name);
    if (found == nullptr) throw PayloadError("field " + label(name) + " is missing");
    return *found;
  }

  // A finite number; integers are numbers.
  double number(std::string_view name, double min = -kHuge, double max = kHuge) const {
    return number_in(name, value(name), min, max);
  }
  double number_or(std::string_view name, double fallback, double min = -kHuge, double max = kHuge) const {
    const msgpack::object* found = find(name);
    return found == nullptr ? fallback : number_in(name, *found, min, max);
  }

  std::int64_t integer(std::string_view name, std::int64_t min = INT64_MIN, std::int64_t max = INT64_MAX) const {
    return integer_in(name, value(name), min, max);
  }
  std::int64_t integer_or(std::string_view name, std::int64_t fallback, std::int64_t min = INT64_MIN,
                          std::int64_t max = INT64_MAX) const {
    const msgpack::object* found = find(name);
    return found == nullptr ? fallback : integer_in(name, *found, min, max);
  }

  bool boolean_or(std::string_view name, bool fallback) const {
    const msgpack::object* found = find(name);
    if (found == nullptr) return fallback;
    if (found->type != msgpack::type::BOOLEAN) throw PayloadError(wrong(name, "must be a boolean", *found));
    return found->via.boolean;
  }

  // UTF-8.
  std::string_view text(std::string_view name) const { return text_in(name, value(name)); }
  std::string_view text_or(std::string_view name, std::string_view fallback) const {
    const msgpack::object* found = find(name);
    return found == nullptr ? fallback : text_in(name, *found);
  }

  // The fields of a map that is itself a field; nothing when it is left out.
  std::optional<Fields> map_or_none(std::string_view name) const {
    const msgpack::object* found = find(name);
    if (found == nullptr) return std::nullopt;
    return Fields(*found, name);
  }

  // For going through all of them.
  std::uint32_t size() const noexcept { return size_; }
  std::string_view key_at(std::uint32_t i) const noexcept {
    return {entries_[i].key.via.str.ptr, entries_[i].key.via.str.size};
  }
  const msgpack::object& value_at(std::uint32_t i) const noexcept { return entries_[i].val; }

  // `field "name" must be …, got …`, for checks of a handler's own.
  [[noreturn]] void refuse(std::string_view name, std::string_view rule) const {
    throw PayloadError("field " + label(name) + " " + std::string(rule));
  }
  [[noreturn]] void refuse(std::string_view name, std::string_view rule, const msgpack::object& got) const {
    throw PayloadError(wrong(name, rule, got));
  }

 private:
  static constexpr double kHuge = 1.7976931348623157e308;

  static std::string quoted(std::string_view text) {
    std::string out = "\"";
    for (const char c : text.substr(0, 64)) {  // a name from outside: one line, of bounded length
      out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    }
    return out + (text.size() > 64 ? "…\"" : "\"");
  }
  std::string label(std::string_view name) const {
    if (where_.empty()) return quoted(name);
    return name.empty() ? quoted(where_) : quoted(std::string(where_) + "." + std::string(name));
  }
  std::string wrong(std::string_view name, std::string_view rule, const msgpack::object& got) const {
    return "field " + label(name) + " " + std::string(rule) + ", got " + type_name(got);
  }
  static std::string unknown(std::string_view key, std::initializer_list<std::string_view> known) {
    std::string message = "field " + quoted(key) + " is not known";
    const char* separator = "; known are ";
    for (const std::string_view name : known) {
      message.append(separator).append(name);
      separator = ", ";
    }
    return message;
  }
  static std::string shown(double value) {
    std::string text = std::to_string(value);
    while (text.back() == '0') text.pop_back();
    if (text.back() == '.') text.pop_back();
    return text;
  }

  double number_in(std::string_view name, const msgpack::object& found, double min, double max) const {
    double number = 0;
    switch (found.type) {
      case msgpack::type::POSITIVE_INTEGER: number = static_cast<double>(found.via.u64); break;
      case msgpack::type::NEGATIVE_INTEGER: number = static_cast<double>(found.via.i64); break;
      case msgpack::type::FLOAT32:
      case msgpack::type::FLOAT64: number = found.via.f64; break;
      default: throw PayloadError(wrong(name, "must be a number", found));
    }
    if (!std::isfinite(number)) refuse(name, "must be a finite number");
    if (number < min) refuse(name, "must be at least " + shown(min) + ", got " + shown(number));
    if (number > max) refuse(name, "must be at most " + shown(max) + ", got " + shown(number));
    return number;
  }

  std::int64_t integer_in(std::string_view name, const msgpack::object& found, std::int64_t min,
                          std::int64_t max) const {
    if (found.type != msgpack::type::POSITIVE_INTEGER && found.type != msgpack::type::NEGATIVE_INTEGER) {
      throw PayloadError(wrong(name, "must be an integer", found));
    }
    const bool beyond = found.type == msgpack::type::POSITIVE_INTEGER && found.via.u64 > std::uint64_t{INT64_MAX};
    const std::string got = beyond ? std::to_string(found.via.u64) : std::to_string(found.via.i64);
    if (beyond || found.via.i64 > max) refuse(name, "must be at most " + std::to_string(max) + ", got " + got);
    if (found.via.i64 < min) refuse(name, "must be at least " + std::to_string(min) + ", got " + got);
    return found.via.i64;
  }

  std::string_view text_in(std::string_view name, const msgpack::object& found) const {
    if (found.type != msgpack::type::STR) throw PayloadError(wrong(name, "must be a string", found));
    const std::string_view text(found.via.str.ptr, found.via.str.size);
    if (!is_utf8(text)) refuse(name, "must be UTF-8 text");
    return text;
  }

  std::string_view where_;  // the field that this map is, empty for the payload itself
  const msgpack::object_kv* entries_ = nullptr;
  std::uint32_t size_ = 0;
};

}  // namespace retire_cluster
