#include "common/sensors/power.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string>
#include <system_error>

#include "common/sensors/files.hpp"
#include "common/sensors/program.hpp"

namespace retire::sensors {
namespace {

constexpr const char* kSupplies = "sys/class/power_supply";
constexpr const char* kTermuxBattery = "data/data/com.termux/files/usr/bin/termux-battery-status";
// What a battery can be; anything else is a driver that does not know.
constexpr double kCelsiusMin = -40;
constexpr double kCelsiusMax = 150;

std::string word(const std::filesystem::path& file) {
  const auto text = read_small_file(file);
  if (!text) return "";
  const auto lines = lines_of(*text);
  return lines.empty() ? "" : std::string(lines.front());
}

std::optional<double> number(const std::filesystem::path& file) {
  const std::string text = word(file);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return value;
}

std::optional<double> plausible(std::optional<double> celsius) {
  if (!celsius || *celsius <= kCelsiusMin || *celsius >= kCelsiusMax) return std::nullopt;
  return celsius;
}

std::optional<double> hotter(std::optional<double> a, std::optional<double> b) {
  if (!a || !b) return a ? a : b;
  return std::max(*a, *b);
}

// The charge of one battery and what fits in, in whatever unit it tells both in.
struct Charge {
  double now = 0;
  double full = 0;
};

std::optional<Charge> charge_of(const std::filesystem::path& battery) {
  for (const std::string unit : {"energy", "charge"}) {
    const auto now = number(battery / (unit + "_now"));
    const auto full = number(battery / (unit + "_full"));
    if (now && full && *full > 0 && *now >= 0) return Charge{*now, *full};
  }
  return std::nullopt;
}

// Of several batteries together, by what each holds; by their own percentages if one does not tell that.
class Level {
 public:
  void add(const std::filesystem::path& battery) {
    const auto percent = number(battery / "capacity");
    const auto charge = charge_of(battery);
    if (charge) {
      now_ += charge->now;
      full_ += charge->full;
    } else {
      weighed_ = false;
    }
    if (percent && *percent >= 0 && *percent <= 100) {
      percents_ += *percent;
      ++count_;
    }
  }
  std::optional<double> percent() const {
    if (count_ == 1) return percents_;  // its own word, which knows of wear
    if (weighed_ && full_ > 0) return std::min(100 * now_ / full_, 100.0);
    if (count_ > 0) return percents_ / count_;
    return std::nullopt;
  }

 private:
  double now_ = 0;
  double full_ = 0;
  double percents_ = 0;
  int count_ = 0;
  bool weighed_ = true;
};

}  // namespace

Power read_power(const std::filesystem::path& root) {
  Power power;
  Level level;
  bool mains_told = false;
  bool mains_online = false;
  bool charging = false;
  bool discharging = false;
  bool full = false;
  bool any_battery = false;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(root / kSupplies, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::filesystem::path& supply = entry->path();
    if (word(supply / "scope") == "Device") continue;
    const std::string type = word(supply / "type");
    if (type != "Battery") {  // Mains, USB, Wireless, …
      if (const auto online = number(supply / "online")) {
        mains_told = true;
        mains_online = mains_online || *online > 0;
      }
      continue;
    }
    if (number(supply / "present") == 0.0) continue;  // an empty bay
    any_battery = true;
    level.add(supply);
    const std::string status = word(supply / "status");
    charging = charging || status == "Charging";
    discharging = discharging || status == "Discharging";
    full = full || status == "Full";
    if (const auto tenths = number(supply / "temp")) {
      power.battery_celsius = hotter(power.battery_celsius, plausible(*tenths / 10));
    }
  }
  if (!any_battery) return power;
  power.battery_percent = level.percent();
  // A plugged charger that is too weak leaves the battery discharging; then it is the battery that matters. "Unknown"
  // and "Not charging" say nothing: then the charger decides.
  if (discharging) {
    power.on_battery = !charging;
  } else if (charging || full) {
    power.on_battery = false;
  } else if (mains_told) {
    power.on_battery = !mains_online;
  }
  if (charging || discharging || full) power.charging = charging;
  return power;
}

std::optional<Power> parse_termux_battery(std::string_view json) {
  const nlohmann::json parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  const auto text = [&](const char* key) {
    const auto found = parsed.find(key);
    return found != parsed.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto value = [&](const char* key) -> std::optional<double> {
    const auto found = parsed.find(key);
    if (found == parsed.end() || !found->is_number()) return std::nullopt;
    return found->get<double>();
  };
  Power power;
  if (const auto percent = value("percentage"); percent && *percent >= 0 && *percent <= 100) {
    power.battery_percent = percent;
  }
  power.battery_celsius = plausible(value("temperature"));
  const std::string status = text("status");    // CHARGING, DISCHARGING, NOT_CHARGING, FULL, UNKNOWN
  const std::string plugged = text("plugged");  // UNPLUGGED, PLUGGED_AC, PLUGGED_USB, PLUGGED_WIRELESS
  if (status == "CHARGING" || status == "DISCHARGING" || status == "NOT_CHARGING" || status == "FULL") {
    power.charging = status == "CHARGING";
  }
  if (status == "DISCHARGING" || plugged == "UNPLUGGED") {
    power.on_battery = true;
  } else if (plugged.starts_with("PLUGGED_") || status == "CHARGING" || status == "FULL") {
    power.on_battery = false;
  }
  if (!power.told()) return std::nullopt;
  return power;
}

Power ask_power(const std::filesystem::path& root, Duration timeout) {
  Power power = read_power(root);
  if (power.told()) return power;
  std::error_code ignored;
  const std::filesystem::path program = root / kTermuxBattery;
  if (!std::filesystem::exists(program, ignored)) return power;
  if (const auto text = output_of(program, {}, timeout)) power = parse_termux_battery(*text).value_or(power);
  return power;
}

}  // namespace retire::sensors
