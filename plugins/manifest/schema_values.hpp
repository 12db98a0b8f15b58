// Values as JSON Schema sees them: numbers by what they are worth, maps without an order. Private to plugins/manifest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <retire_cluster/payload.hpp>
#include <string>
#include <string_view>

namespace retire::schema {

// Holds each 64-bit integer and each double as it is, where it has 64 bits of mantissa or more (x86, ARM64); elsewhere
// integers beyond 2^53 are rounded before they are compared.
using Real = long double;

// What a check may still spend. Once it is used up it stays so, and the check ends.
class Budget {
 public:
  explicit Budget(std::size_t steps) : left_(steps) {}
  // False when there is not as much left.
  bool spend(std::size_t steps) {
    if (steps > left_) return left_ = 0, spent_ = true, false;
    left_ -= steps;
    return true;
  }
  bool is_spent() const { return spent_; }

 private:
  std::size_t left_;
  bool spent_ = false;
};

inline bool is_integer(const msgpack::object& value) {
  return value.type == msgpack::type::POSITIVE_INTEGER || value.type == msgpack::type::NEGATIVE_INTEGER;
}
inline bool is_float(const msgpack::object& value) {
  return value.type == msgpack::type::FLOAT32 || value.type == msgpack::type::FLOAT64;
}
// nullopt: not a number, or not a finite one.
std::optional<Real> number_of(const msgpack::object& value);

inline std::string_view text_of(const msgpack::object& value) { return {value.via.str.ptr, value.via.str.size}; }

// False, too, when the budget is used up.
bool equal(const msgpack::object& a, const msgpack::object& b, Budget& budget);
// The index of an item that is equal to an earlier one; nullopt: none, or the budget is used up.
std::optional<std::uint32_t> find_repeated(const msgpack::object_array& items, Budget& budget);

// Characters, not bytes.
std::size_t length_of(std::string_view text);

// For messages: a value as JSON on one line, of at most about 60 bytes.
std::string show(const msgpack::object& value);
std::string show(Real number);
// Without control characters and cut between characters.
std::string one_line(std::string_view text, std::size_t bytes_max);

}  // namespace retire::schema
