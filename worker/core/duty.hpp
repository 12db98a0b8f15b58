// Whether the device may take work, by its owner's rules: battery, temperature, load of others, hours. Pure: told
// what was measured, and the time.
//
// Each rule has two thresholds, one to pause and a milder one to go on, so that a value which wavers does not make the
// device waver. What the system does not tell changes nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.hpp"
#include "worker/core/work_hours.hpp"

namespace retire::worker {

struct DutyRules {
  std::optional<double>
      battery_min_percent;  // pause while on battery with less than this; over 100: whenever on battery
  std::optional<double> celsius_max;
  std::optional<double> load_max;  // of others than our tasks
  std::vector<WorkHours> hours;    // empty: always

  bool any() const { return battery_min_percent || celsius_max || load_max || !hours.empty(); }
};

constexpr double kBatteryAlways = 101;

// What was measured; left out what the system does not tell.
struct DutyReadings {
  std::optional<bool> on_battery;
  std::optional<double> battery_percent;
  std::optional<double> celsius;
  std::optional<double> load;  // the system's average over a minute
  std::uint32_t running = 0;   // tasks of ours
  LocalTime local;
};

class Duty {
 public:
  explicit Duty(DutyRules rules) : rules_(std::move(rules)) {}

  // Why the device takes no work now, in at most 256 bytes of UTF-8; empty: it does. Precondition: `now` does not go
  // backwards. The reference is good until the next call.
  const std::string& update(const DutyReadings& readings, TimePoint now);

 private:
  void judge_battery(const DutyReadings& readings, TimePoint now);
  void judge_temperature(const DutyReadings& readings);
  void judge_load(const DutyReadings& readings, TimePoint now);
  void judge_hours(const DutyReadings& readings);
  void say(const std::string& why);

  DutyRules rules_;
  bool low_ = false;  // paused for the battery
  std::string low_text_;
  std::optional<TimePoint> power_since_;  // external, without a break
  bool hot_ = false;
  std::string hot_text_;
  bool loaded_ = false;
  std::string loaded_text_;
  double own_load_ = 0;  // what our tasks have added to the load average
  std::optional<TimePoint> updated_;
  std::string reason_;
};

}  // namespace retire::worker
