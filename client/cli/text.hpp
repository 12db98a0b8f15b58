// Words and numbers as people read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/time.hpp"

namespace retire::cli {

std::string with_commas(std::uint64_t number);  // "1,204"
std::string short_duration(double seconds);     // "8 µs", "250 ms", "12 s", "4 min", "3 h", "2 d"
std::optional<WallTime> parse_iso8601(std::string_view text);
std::string ago(std::string_view iso8601, WallTime now);          // "4 min ago"; "-" for what is no time
std::size_t columns(std::string_view utf8);                       // how wide it is printed: its characters
std::string cut(std::string_view utf8, std::size_t columns_max);  // with "…" at its end if it was longer
std::string printable(std::string_view text);                     // control characters as "?": it may be a stranger's
std::string plural(std::uint64_t count, std::string_view noun);   // "1 task", "2 tasks"

}  // namespace retire::cli
