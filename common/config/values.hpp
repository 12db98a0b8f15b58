// Between a setting's text, however it was given, and its typed value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace retire::config {

enum class Kind : std::uint8_t { Text, Whole, Number, Switch, List };

// Reads one value. On failure returns what the value must be ("a whole number from 0 to 65535"), and `out` is
// unchanged.
std::optional<std::string> read_value(const std::string& text, std::string& out);
std::optional<std::string> read_value(const std::string& text, bool& out);
std::optional<std::string> read_value(const std::string& text, double& out);
std::optional<std::string> read_whole(const std::string& text, std::uint64_t min, std::uint64_t max,
                                      std::uint64_t& out);
std::optional<std::string> read_signed(const std::string& text, std::int64_t min, std::int64_t max, std::int64_t& out);

// "5", "0.25", "1000000": without trailing zeros.
std::string show_number(double value);

// A type that a setting may have, bare or in a std::optional.
template <class T>
concept Value = std::is_same_v<T, std::string> || std::is_same_v<T, bool> || std::is_same_v<T, double> ||
    (std::is_integral_v<T> && !std::is_same_v<T, char>);

template <class T>
constexpr Kind kind_of() {
  if constexpr (std::is_same_v<T, std::string>) return Kind::Text;
  if constexpr (std::is_same_v<T, bool>) return Kind::Switch;
  if constexpr (std::is_same_v<T, double>) return Kind::Number;
  return Kind::Whole;
}

template <class T>
std::string show_value(const T& value) {
  if constexpr (std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, double>) {
    return show_number(value);
  } else {
    return std::to_string(value);
  }
}

}  // namespace retire::config
