#include "client/cli/text.hpp"

#include <array>
#include <cstdio>

namespace retire::cli {
namespace {

template <class... Args>
std::string print(const char* format, Args... args) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), format, args...);
  return text.data();
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0u) == 0x80; }

}  // namespace

std::string with_commas(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t i = text.size(); i > 3;) {
    i -= 3;
    text.insert(i, ",");
  }
  return text;
}

std::string short_duration(double seconds) {
  if (seconds < 0) seconds = 0;
  if (seconds < 0.001) return print("%.0f µs", seconds * 1e6);
  if (seconds < 1) return print("%.0f ms", seconds * 1e3);
  if (seconds < 10) return print("%.2g s", seconds);
  if (seconds < 100) return print("%.0f s", seconds);
  if (seconds < 6'000) return print("%.0f min", seconds / 60);
  if (seconds < 48 * 3'600) return print("%.0f h", seconds / 3'600);
  return print("%.0f d", seconds / 86'400);
}

std::optional<WallTime> parse_iso8601(std::string_view text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  int micro = 0;
  const std::string owned(text);
  if (std::sscanf(owned.c_str(), "%d-%u-%uT%d:%d:%d.%dZ", &year, &month, &day, &hour, &minute, &second, &micro) != 7) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month), std::chrono::day(day)};
  if (!date.ok()) return std::nullopt;
  return WallTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second) + Duration(micro);
}

std::string ago(std::string_view iso8601, WallTime now) {
  const auto time = parse_iso8601(iso8601);
  if (!time) return "-";
  const double seconds = to_seconds(now - *time);
  return seconds < 1 ? "now" : short_duration(seconds) + " ago";
}

std::size_t columns(std::string_view utf8) {
  std::size_t count = 0;
  for (const char c : utf8) count += continues(c) ? 0u : 1u;
  return count;
}

std::string cut(std::string_view utf8, std::size_t columns_max) {
  if (columns(utf8) <= columns_max) return std::string(utf8);
  if (columns_max == 0) return {};
  std::size_t count = 0;
  std::size_t size = 0;
  while (size < utf8.size()) {
    if (!continues(utf8[size]) && ++count == columns_max) break;
    ++size;
  }
  return std::string(utf8.substr(0, size)) + "…";
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return out;
}

std::string plural(std::uint64_t count, std::string_view noun) {
  return with_commas(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace retire::cli
