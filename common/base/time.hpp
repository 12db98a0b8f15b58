// Two kinds of time that do not mix: the monotonic one that decides, and the calendar that people read.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace retire {

using Duration = std::chrono::microseconds;

// Monotonic, of one process: never stored, never sent, never compared with another host's.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Microseconds since 1970-01-01 UTC; 0 means "not yet".
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

// The moment something happens, told to the pure cores by the loop that read both clocks once.
struct Now {
  TimePoint monotonic;
  WallTime wall;
};

inline Duration from_seconds(double seconds) { return Duration(static_cast<std::int64_t>(seconds * 1e6)); }
inline double to_seconds(Duration duration) { return static_cast<double>(duration.count()) / 1e6; }

// "2026-11-23T08:34:40.000001Z"
std::string to_iso8601(WallTime time);

// Reads both clocks. For the shells only: a check in the test run keeps it out of the cores.
class SystemClock {
 public:
  static Now now() {
    return {std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now()),
            std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now())};
  }
};

}  // namespace retire
