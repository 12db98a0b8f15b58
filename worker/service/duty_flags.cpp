#include "worker/service/duty_flags.hpp"

#include <charconv>

#include "common/base/assert.hpp"

namespace retire::worker {
namespace {

constexpr const char* kAlways = "always";

// "50%" or "50"; "always" is above all that a battery can have.
std::optional<double> parse_level(std::string_view text) {
  if (text == kAlways) return kBatteryAlways;
  if (text.ends_with('%')) text.remove_suffix(1);
  double percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), percent);
  if (error != std::errc() || end != text.data() + text.size() || !(percent > 0 && percent <= 100)) return std::nullopt;
  return percent;
}

}  // namespace

void declare_duty_flags(config::Flags& flags, DutyOptions& options) {
  flags
      .add("pause-on-battery", options.pause_on_battery,
           "take no work while the device runs on battery, or only while that has less than this, such as 50%")
      .value_name("LEVEL")
      .bare(kAlways)
      .check([](const std::string& text) {
        return parse_level(text) ? std::nullopt : std::optional<std::string>("a level such as 50%, or always");
      });
  flags.add("work-hours", options.work_hours, "take work only then, by local time, such as 22:00-06:00")
      .value_name("[DAYS ]FROM-TO")
      .check([](const std::string& text) {
        return parse_work_hours(text)
                   ? std::nullopt
                   : std::optional<std::string>(
                         "hours such as 22:00-06:00, \"Mon-Fri 18:00-08:00\" or \"Sat Sun 00:00-24:00\"");
      });
  flags.add("max-load", options.max_load, "take no work while other programs cause a higher load average than this")
      .value_name("N")
      .range(0.1, 100'000);
  flags.add("max-temperature", options.max_temperature, "take no work while the processor is hotter than this")
      .value_name("CELSIUS")
      .range(20, 120);
  flags.add("system-root", options.system_root, "where /proc and /sys are").value_name("DIR").hidden();
  flags.add("duty-interval", options.interval_seconds, "how often the rules above are looked at")
      .value_name("SECONDS")
      .range(0.01, 3600)
      .hidden();
}

DutyConfig duty_config(const DutyOptions& options) {
  DutyConfig config;
  if (options.pause_on_battery) config.rules.battery_min_percent = parse_level(*options.pause_on_battery);
  for (const std::string& text : options.work_hours) {
    const auto hours = parse_work_hours(text);
    RC_ASSERT(hours.has_value());
    config.rules.hours.push_back(*hours);
  }
  config.rules.load_max = options.max_load;
  config.rules.celsius_max = options.max_temperature;
  config.root = options.system_root;
  config.interval = from_seconds(options.interval_seconds);
  return config;
}

}  // namespace retire::worker
