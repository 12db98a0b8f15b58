#include "common/config/values.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace retire::config {
namespace {

template <class T>
bool read_all(const std::string& text, T& out) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, out);
  return error == std::errc() && stop == end && !text.empty();
}

template <class T>
std::optional<std::string> read_bounded(const std::string& text, T min, T max, T& out) {
  T value{};
  if (read_all(text, value) && value >= min && value <= max) {
    out = value;
    return std::nullopt;
  }
  return "a whole number from " + std::to_string(min) + " to " + std::to_string(max);
}

}  // namespace

std::optional<std::string> read_value(const std::string& text, std::string& out) {
  if (text.find('\0') != std::string::npos) return "text without a zero byte";
  out = text;
  return std::nullopt;
}

std::optional<std::string> read_value(const std::string& text, bool& out) {
  for (const auto& [name, value] : {std::pair{"true", true},
                                    {"false", false},
                                    {"1", true},
                                    {"0", false},
                                    {"yes", true},
                                    {"no", false},
                                    {"on", true},
                                    {"off", false}}) {
    if (text == name) {
      out = value;
      return std::nullopt;
    }
  }
  return "true or false";
}

std::optional<std::string> read_value(const std::string& text, double& out) {
  double value = 0;
  if (!read_all(text, value) || !std::isfinite(value)) return "a number";
  out = value;
  return std::nullopt;
}

std::optional<std::string> read_whole(const std::string& text, std::uint64_t min, std::uint64_t max,
                                      std::uint64_t& out) {
  return read_bounded(text, min, max, out);
}

std::optional<std::string> read_signed(const std::string& text, std::int64_t min, std::int64_t max, std::int64_t& out) {
  return read_bounded(text, min, max, out);
}

std::string show_number(double value) {
  if (value == std::floor(value) && std::fabs(value) < 1e15) return std::to_string(static_cast<std::int64_t>(value));
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), value).ptr;
  return {text.data(), end};
}

}  // namespace retire::config
