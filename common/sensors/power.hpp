// Where the device's power comes from, on Linux and Android.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "common/base/time.hpp"

namespace retire::sensors {

// Left out what the system does not tell. A machine without a battery tells nothing of all this.
struct Power {
  std::optional<double> battery_percent;  // 0 to 100, of all its batteries together
  std::optional<bool> on_battery;         // false: on external power
  std::optional<bool> charging;
  std::optional<double> battery_celsius;  // of the hottest battery

  bool told() const { return battery_percent || on_battery || charging || battery_celsius; }
};

// From `root`/sys/class/power_supply. Batteries of mice and keyboards do not count.
Power read_power(const std::filesystem::path& root);

// From the JSON that termux-battery-status prints; nothing if it is none.
std::optional<Power> parse_termux_battery(std::string_view json);

// The above, and where it tells nothing, as Android does to applications, what termux-battery-status says (which may
// take a second; it is given `timeout`).
Power ask_power(const std::filesystem::path& root, Duration timeout);

}  // namespace retire::sensors
