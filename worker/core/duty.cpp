#include "worker/core/duty.hpp"

#include <algorithm>
#include <cmath>

#include "common/model/limits.hpp"

namespace retire::worker {
namespace {

// How far a value has to come back before work goes on.
constexpr double kBatteryMarginPercent = 5;
constexpr double kCelsiusMargin = 5;
constexpr double kLoadMarginFactor = 0.75;
// A plug that wavers does not count as external power.
constexpr Duration kPowerSteady = std::chrono::seconds(30);
// The kernel's load average forgets by this; so does our share of it.
constexpr double kLoadMemorySeconds = 60;

// "41", "3.5": one digit at most.
std::string shown(double value) {
  const auto tenths = static_cast<long long>(std::llround(std::clamp(value, -1e9, 1e9) * 10));
  std::string text = std::to_string(tenths / 10);
  if (tenths % 10 != 0) text += "." + std::to_string(std::llabs(tenths % 10));
  return text;
}

}  // namespace

const std::string& Duty::update(const DutyReadings& readings, TimePoint now) {
  reason_.clear();
  judge_battery(readings, now);
  judge_temperature(readings);
  judge_load(readings, now);
  judge_hours(readings);
  updated_ = now;
  return reason_;
}

void Duty::say(const std::string& why) {
  if (!reason_.empty()) reason_ += "; ";
  reason_ += why;
  if (reason_.size() <= kPauseReasonBytesMax) return;
  std::size_t end = kPauseReasonBytesMax;
  while (end > 0 && (static_cast<unsigned char>(reason_[end]) & 0xc0u) == 0x80u) --end;  // between letters
  reason_.resize(end);
}

void Duty::judge_battery(const DutyReadings& readings, TimePoint now) {
  if (!rules_.battery_min_percent) return;
  const double min = *rules_.battery_min_percent;
  const bool always = min > 100;
  if (readings.on_battery == true) {
    power_since_.reset();
    const auto percent = readings.battery_percent;
    if (always || (percent && *percent < min)) {
      low_ = true;
    } else if (percent && *percent >= std::min(min + kBatteryMarginPercent, 100.0)) {
      low_ = false;
    }
    low_text_ = "on battery" + (percent ? " at " + shown(*percent) + " %" : std::string());
    if (!always) low_text_ += ", wants " + shown(min) + " %";
  } else if (readings.on_battery == false) {
    if (!power_since_) power_since_ = now;
    if (now - *power_since_ >= kPowerSteady) low_ = false;
    low_text_ = "on external power again, not yet for 30 s";
  }
  if (low_) say(low_text_);
}

void Duty::judge_temperature(const DutyReadings& readings) {
  if (!rules_.celsius_max) return;
  if (readings.celsius) {
    if (*readings.celsius > *rules_.celsius_max) hot_ = true;
    if (*readings.celsius <= *rules_.celsius_max - kCelsiusMargin) hot_ = false;
    hot_text_ = "at " + shown(*readings.celsius) + " °C, at most " + shown(*rules_.celsius_max) + " °C wanted";
  }
  if (hot_) say(hot_text_);
}

// The load average counts our own tasks too, and still does for a while after they have ended. What they have added is
// followed with the same memory that the kernel has, and taken off.
void Duty::judge_load(const DutyReadings& readings, TimePoint now) {
  if (!rules_.load_max) return;
  const double passed = updated_ ? to_seconds(now - *updated_) : 0;
  const double kept = std::exp(-passed / kLoadMemorySeconds);
  own_load_ = own_load_ * kept + readings.running * (1 - kept);
  if (readings.load) {
    const double others = std::max(*readings.load - own_load_, 0.0);
    if (others > *rules_.load_max) loaded_ = true;
    if (others <= *rules_.load_max * kLoadMarginFactor) loaded_ = false;
    loaded_text_ = "load " + shown(others) + " of other programs, at most " + shown(*rules_.load_max) + " wanted";
  }
  if (loaded_) say(loaded_text_);
}

void Duty::judge_hours(const DutyReadings& readings) {
  if (rules_.hours.empty() || any_contains(rules_.hours, readings.local)) return;
  const std::string start = next_start(rules_.hours, readings.local);
  say("outside its work hours" + (start.empty() ? std::string() : ", which begin " + start));
}

}  // namespace retire::worker
