// When a device works: "22:00-06:00", "Mon-Fri 18:00-08:00", "Sat Sun 00:00-24:00". Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retire::worker {

// A moment as a wall clock of the device's own place shows it.
struct LocalTime {
  int weekday = 0;  // 0 Monday to 6 Sunday
  int minute = 0;   // of the day, 0 to 1,439
};

// One span. It may run across midnight; its days are those on which it begins.
struct WorkHours {
  std::uint8_t days = 0x7f;  // bit 0 Monday
  int from = 0;              // minutes of the day
  int to = 24 * 60;          // before this one; less than `from`: of the next day

  bool contains(LocalTime at) const;
};

// Days (Mon to Sun, ranges with a dash; separated by spaces or commas; none: every day), then HH:MM-HH:MM. Nothing for
// anything else, and for a span of no length.
std::optional<WorkHours> parse_work_hours(std::string_view text);

bool any_contains(const std::vector<WorkHours>& hours, LocalTime at);

// When the next of them begins, as "22:00" or, if that is not within a day, "Mon 22:00". Empty: there are none.
std::string next_start(const std::vector<WorkHours>& hours, LocalTime at);

}  // namespace retire::worker
