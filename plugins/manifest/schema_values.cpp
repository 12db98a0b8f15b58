#include "plugins/manifest/schema_values.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <utility>
#include <vector>

namespace retire::schema {
namespace {

constexpr std::size_t kShownMax = 60;

// How many bytes of a text are read for the price of one step.
constexpr std::size_t kBytesPerStep = 64;

std::size_t bytes_in(const msgpack::object& value) {
  if (value.type == msgpack::type::STR) return value.via.str.size;
  return value.type == msgpack::type::BIN ? value.via.bin.size : 0;
}

std::uint64_t mix(std::uint64_t x) {  // the finaliser of splitmix64
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

std::uint64_t hash_bytes(const char* data, std::size_t size) {
  return std::hash<std::string_view>{}(std::string_view(data, size));
}

// Equal values have equal hashes. Recursion: as deep as the SDK's decode() lets a value be.
std::uint64_t hash(const msgpack::object& value, Budget& budget) {
  if (!budget.spend(1 + bytes_in(value) / kBytesPerStep)) return 0;
  if (const auto number = number_of(value)) return mix(std::hash<Real>{}(*number + Real{0})) + 1;  // +0: -0 is 0
  switch (value.type) {
    case msgpack::type::BOOLEAN: return value.via.boolean ? 3 : 5;
    case msgpack::type::STR: return mix(hash_bytes(value.via.str.ptr, value.via.str.size)) + 7;
    case msgpack::type::BIN: return mix(hash_bytes(value.via.bin.ptr, value.via.bin.size)) + 9;
    case msgpack::type::ARRAY: {
      std::uint64_t sum = 11;
      for (std::uint32_t i = 0; i < value.via.array.size; ++i) sum = mix(sum) ^ hash(value.via.array.ptr[i], budget);
      return sum;
    }
    case msgpack::type::MAP: {
      std::uint64_t sum = 13;  // without an order
      for (std::uint32_t i = 0; i < value.via.map.size; ++i) {
        const msgpack::object_kv& entry = value.via.map.ptr[i];
        sum += mix(hash(entry.key, budget) * 31 + hash(entry.val, budget));
      }
      return sum;
    }
    default: return static_cast<std::uint64_t>(value.type) + 100;
  }
}

bool equal_maps(const msgpack::object_map& a, const msgpack::object_map& b, Budget& budget) {
  if (a.size != b.size) return false;
  for (std::uint32_t i = 0; i < a.size; ++i) {
    bool found = false;
    for (std::uint32_t j = 0; j < b.size && !found; ++j) {
      // Most maps have their keys in one order, so it is looked for where it most likely is.
      const msgpack::object_kv& other = b.ptr[(i + j) % b.size];
      found = equal(a.ptr[i].key, other.key, budget) && equal(a.ptr[i].val, other.val, budget);
      if (budget.is_spent()) return false;
    }
    if (!found) return false;
  }
  return true;
}

}  // namespace

std::optional<Real> number_of(const msgpack::object& value) {
  switch (value.type) {
    case msgpack::type::POSITIVE_INTEGER: return static_cast<Real>(value.via.u64);
    case msgpack::type::NEGATIVE_INTEGER: return static_cast<Real>(value.via.i64);
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      if (!std::isfinite(value.via.f64)) return std::nullopt;
      return static_cast<Real>(value.via.f64);
    default: return std::nullopt;
  }
}

bool equal(const msgpack::object& a, const msgpack::object& b, Budget& budget) {
  if (!budget.spend(1 + std::min(bytes_in(a), bytes_in(b)) / kBytesPerStep)) return false;
  if ((is_integer(a) || is_float(a)) && (is_integer(b) || is_float(b))) {
    const auto x = number_of(a);
    return x && x == number_of(b);
  }
  if (a.type != b.type) return false;
  switch (a.type) {
    case msgpack::type::NIL: return true;
    case msgpack::type::BOOLEAN: return a.via.boolean == b.via.boolean;
    case msgpack::type::STR: return text_of(a) == text_of(b);
    case msgpack::type::BIN:
      return std::string_view(a.via.bin.ptr, a.via.bin.size) == std::string_view(b.via.bin.ptr, b.via.bin.size);
    case msgpack::type::EXT:
      return a.via.ext.type() == b.via.ext.type() &&
             std::string_view(a.via.ext.data(), a.via.ext.size) == std::string_view(b.via.ext.data(), b.via.ext.size);
    case msgpack::type::ARRAY: {
      if (a.via.array.size != b.via.array.size) return false;
      for (std::uint32_t i = 0; i < a.via.array.size; ++i) {
        if (!equal(a.via.array.ptr[i], b.via.array.ptr[i], budget)) return false;
      }
      return true;
    }
    case msgpack::type::MAP: return equal_maps(a.via.map, b.via.map, budget);
    default: return false;
  }
}

std::optional<std::uint32_t> find_repeated(const msgpack::object_array& items, Budget& budget) {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> hashes;  // with the item's index
  hashes.reserve(items.size);
  for (std::uint32_t i = 0; i < items.size; ++i) {
    hashes.emplace_back(hash(items.ptr[i], budget), i);
    if (budget.is_spent()) return std::nullopt;
  }
  std::sort(hashes.begin(), hashes.end());
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    for (std::size_t j = i + 1; j < hashes.size() && hashes[j].first == hashes[i].first; ++j) {
      if (equal(items.ptr[hashes[i].second], items.ptr[hashes[j].second], budget)) return hashes[j].second;
      if (budget.is_spent()) return std::nullopt;
    }
  }
  return std::nullopt;
}

std::size_t length_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0u) != 0x80; }));
}

std::string one_line(std::string_view text, std::size_t bytes_max) {
  const bool is_cut = text.size() > bytes_max;
  if (is_cut) {
    std::size_t size = bytes_max;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0u) == 0x80) --size;
    text = text.substr(0, size);
  }
  std::string out(text);
  const bool is_text = retire_cluster::is_utf8(out);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !is_text)) c = '?';
  }
  return is_cut ? out + "…" : out;
}

std::string show(Real number) {
  char text[64];
  const bool is_whole = number == std::floor(number) && std::fabs(number) < 1e19L;
  std::snprintf(text, sizeof text, is_whole ? "%.0Lf" : "%.15Lg", number);
  return text;
}

std::string show(const msgpack::object& value) {
  if (const auto number = number_of(value)) return show(*number);
  switch (value.type) {
    case msgpack::type::NIL: return "null";
    case msgpack::type::BOOLEAN: return value.via.boolean ? "true" : "false";
    case msgpack::type::STR: return '"' + one_line(text_of(value), kShownMax) + '"';
    case msgpack::type::ARRAY: return "a list of " + std::to_string(value.via.array.size);
    case msgpack::type::MAP: return "a map of " + std::to_string(value.via.map.size);
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64: return "a number that is not finite";
    default: return retire_cluster::type_name(value);
  }
}

}  // namespace retire::schema
