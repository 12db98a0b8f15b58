#include "worker/core/work_hours.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace retire::worker {
namespace {

constexpr int kDay = 24 * 60;
constexpr int kDays = 7;
constexpr std::array<std::string_view, kDays> kNames = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// "HH:MM", to 24:00.
std::optional<int> parse_time(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  for (const std::size_t i : {0u, 1u, 3u, 4u}) {
    if (!is_digit(text[i])) return std::nullopt;
  }
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  if (minute > 59 || hour * 60 + minute > kDay) return std::nullopt;
  return hour * 60 + minute;
}

std::optional<int> parse_day(std::string_view text) {
  const auto same = [&](std::string_view name) {
    return name.size() == text.size() &&
           std::equal(name.begin(), name.end(), text.begin(), [](char a, char b) { return (a | 0x20) == (b | 0x20); });
  };
  const auto found = std::find_if(kNames.begin(), kNames.end(), same);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<int>(found - kNames.begin());
}

// "Mon" or "Fri-Mon".
std::optional<std::uint8_t> parse_days(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = parse_day(text.substr(0, dash));
  const auto last = dash == text.npos ? first : parse_day(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  unsigned days = 0;
  for (int day = *first;; day = (day + 1) % kDays) {
    days |= 1u << day;
    if (day == *last) break;
  }
  return static_cast<std::uint8_t>(days);
}

std::string two_digits(int number) {
  return {static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
}

bool has_day(std::uint8_t days, int day) { return ((unsigned{days} >> day) & 1u) != 0; }

}  // namespace

bool WorkHours::contains(LocalTime at) const {
  if (from < to) return has_day(days, at.weekday) && at.minute >= from && at.minute < to;
  const int yesterday = (at.weekday + kDays - 1) % kDays;
  return (has_day(days, at.weekday) && at.minute >= from) || (has_day(days, yesterday) && at.minute < to);
}

std::optional<WorkHours> parse_work_hours(std::string_view text) {
  constexpr std::string_view kBetween = " ,";
  WorkHours out;
  unsigned days = 0;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(kBetween), text.size()));
    if (text.empty()) return std::nullopt;
    const std::string_view word = text.substr(0, text.find_first_of(kBetween));
    text.remove_prefix(word.size());
    if (!is_digit(word.front())) {
      const auto more = parse_days(word);
      if (!more) return std::nullopt;
      days |= *more;
      continue;
    }
    if (word.size() != 11 || word[5] != '-' || !text.empty()) return std::nullopt;
    const auto from = parse_time(word.substr(0, 5));
    const auto to = parse_time(word.substr(6));
    if (!from || !to || *from == *to || *from == kDay) return std::nullopt;
    out.from = *from;
    out.to = *to;
    if (days != 0) out.days = static_cast<std::uint8_t>(days);
    return out;
  }
}

bool any_contains(const std::vector<WorkHours>& hours, LocalTime at) {
  return std::any_of(hours.begin(), hours.end(), [&](const WorkHours& one) { return one.contains(at); });
}

std::string next_start(const std::vector<WorkHours>& hours, LocalTime at) {
  int nearest = std::numeric_limits<int>::max();  // minutes from now
  for (const WorkHours& one : hours) {
    for (int ahead = 0; ahead <= kDays; ++ahead) {
      if (!has_day(one.days, (at.weekday + ahead) % kDays)) continue;
      const int wait = ahead * kDay + one.from - at.minute;
      if (wait > 0) nearest = std::min(nearest, wait);
    }
  }
  if (nearest == std::numeric_limits<int>::max()) return "";
  const int start = at.minute + nearest;
  const std::string time = two_digits(start % kDay / 60) + ":" + two_digits(start % 60);
  if (nearest < kDay) return time;
  return std::string(kNames.at(static_cast<std::size_t>((at.weekday + start / kDay) % kDays))) + " " + time;
}

}  // namespace retire::worker
