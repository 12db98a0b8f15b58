#include "worker/core/duty.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "common/model/limits.hpp"

namespace retire::worker {
namespace {

using namespace std::chrono_literals;

LocalTime at(int weekday, int hour, int minute = 0) { return {weekday, hour * 60 + minute}; }

class Device {
 public:
  explicit Device(DutyRules rules) : duty_(std::move(rules)) {}
  std::string after(Duration passed) {
    now_ += passed;
    return duty_.update(readings, now_);
  }
  std::string battery(bool on_battery, double percent, Duration passed = 10s) {
    readings.on_battery = on_battery;
    readings.battery_percent = percent;
    return after(passed);
  }
  std::string load(double load, std::uint32_t running, Duration passed = 10s) {
    readings.load = load;
    readings.running = running;
    return after(passed);
  }
  DutyReadings readings;

 private:
  Duty duty_;
  TimePoint now_{100s};
};

DutyRules below(double percent) {
  DutyRules rules;
  rules.battery_min_percent = percent;
  return rules;
}

TEST(DutyBattery, PausesBelowItsLevelOnlyWhileOnBattery) {
  Device device(below(50));
  EXPECT_EQ(device.battery(false, 10), "");
  EXPECT_EQ(device.battery(true, 80), "");
  EXPECT_EQ(device.battery(true, 50), "");
  EXPECT_EQ(device.battery(true, 49), "on battery at 49 %, wants 50 %");
}

TEST(DutyBattery, ALevelThatWaversDoesNotMakeTheDeviceWaver) {
  Device device(below(50));
  EXPECT_NE(device.battery(true, 49), "");
  for (const double percent : {50.0, 51.0, 54.9}) EXPECT_NE(device.battery(true, percent), "") << percent;
  EXPECT_EQ(device.battery(true, 55), "");
  EXPECT_EQ(device.battery(true, 50), "") << "and not paused again before it is below";
}

TEST(DutyBattery, APlugThatWaversDoesNotCount) {
  Device device(below(50));
  EXPECT_NE(device.battery(true, 20), "");
  EXPECT_EQ(device.battery(false, 20), "on external power again, not yet for 30 s");
  EXPECT_NE(device.battery(false, 20, 29s), "");
  EXPECT_NE(device.battery(true, 20, 1s), "") << "the plug is out again";
  EXPECT_NE(device.battery(false, 20), "");
  EXPECT_NE(device.battery(false, 20, 20s), "") << "the time counts from the last plugging";
  EXPECT_EQ(device.battery(false, 20, 10s), "");
}

TEST(DutyBattery, AlwaysPausesWhateverTheLevel) {
  Device device(below(kBatteryAlways));
  EXPECT_EQ(device.battery(true, 100), "on battery at 100 %");
  device.readings.battery_percent.reset();
  EXPECT_EQ(device.after(10s), "on battery");
  device.readings.on_battery = false;
  device.after(10s);
  EXPECT_EQ(device.after(30s), "");
}

TEST(DutyBattery, AFullBatteryEndsAPauseForALevelNearTheTop) {
  Device device(below(98));
  EXPECT_NE(device.battery(true, 97), "");
  EXPECT_EQ(device.battery(true, 100), "");
}

TEST(DutyBattery, WhatIsNotToldChangesNothing) {
  Device device(below(50));
  EXPECT_EQ(device.after(10s), "") << "no battery: a desktop with the flag works on";
  device.readings.on_battery = true;
  EXPECT_EQ(device.after(10s), "") << "a battery that does not tell its level";
  EXPECT_NE(device.battery(true, 20), "");
  device.readings = {};
  EXPECT_EQ(device.after(10min), "on battery at 20 %, wants 50 %") << "a reading that failed once";
}

TEST(DutyTemperature, PausesAboveAndGoesOnFiveDegreesBelow) {
  DutyRules rules;
  rules.celsius_max = 75;
  Device device(rules);
  EXPECT_EQ(device.after(1s), "");
  const auto celsius = [&](double value) {
    device.readings.celsius = value;
    return device.after(10s);
  };
  EXPECT_EQ(celsius(75), "");
  EXPECT_EQ(celsius(75.26), "at 75.3 °C, at most 75 °C wanted");
  EXPECT_NE(celsius(70.1), "");
  EXPECT_EQ(celsius(70), "");
  EXPECT_EQ(celsius(75), "");
}

TEST(DutyLoad, OfOthersPauses) {
  DutyRules rules;
  rules.load_max = 2;
  Device device(rules);
  EXPECT_EQ(device.load(2, 0), "");
  EXPECT_EQ(device.load(2.5, 0), "load 2.5 of other programs, at most 2 wanted");
  EXPECT_NE(device.load(1.6, 0), "");
  EXPECT_EQ(device.load(1.5, 0), "");
}

// The load average as the kernel makes it, of our four tasks and nobody else's.
TEST(DutyLoad, OfOurOwnTasksDoesNotNorAfterTheyHaveEnded) {
  DutyRules rules;
  rules.load_max = 0.5;
  Device device(rules);
  double average = 0;
  const double kept = std::exp(-10.0 / 60);
  device.load(average, 0);
  for (int i = 0; i < 60; ++i) {
    average = average * kept + 4 * (1 - kept);
    EXPECT_EQ(device.load(average, 4), "") << i;
  }
  EXPECT_GT(average, 3.9);
  for (int i = 0; i < 60; ++i) {
    average *= kept;
    EXPECT_EQ(device.load(average, 0), "") << i;
  }
  for (int i = 0; i < 60; ++i) average = average * kept + 5 * (1 - kept);  // one of which is somebody else's
  device.load(average, 4, 10min);
  EXPECT_NE(device.load(average, 4), "");
}

TEST(DutyHours, OutsideThemItSaysWhenTheyBegin) {
  DutyRules rules;
  rules.hours = {*parse_work_hours("22:00-06:00")};
  Device device(rules);
  device.readings.local = at(2, 12);
  EXPECT_EQ(device.after(1s), "outside its work hours, which begin 22:00");
  device.readings.local = at(2, 22);
  EXPECT_EQ(device.after(1s), "");
  device.readings.local = at(3, 5, 59);
  EXPECT_EQ(device.after(1s), "");
  device.readings.local = at(3, 6);
  EXPECT_NE(device.after(1s), "");
}

TEST(Duty, EveryReasonIsNamedAndTheyFit) {
  DutyRules rules = below(50);
  rules.celsius_max = 60;
  rules.load_max = 1;
  rules.hours = {*parse_work_hours("Mon 10:00-11:00")};
  Device device(rules);
  device.readings.celsius = 80;
  device.readings.load = 9;
  device.readings.local = at(2, 10);
  EXPECT_EQ(device.battery(true, 20),
            "on battery at 20 %, wants 50 %; at 80 °C, at most 60 °C wanted; load 9 of other programs, at most 1 "
            "wanted; outside its work hours, which begin Mon 10:00");
  device.readings.load = 1e300;
  EXPECT_LE(device.after(1s).size(), kPauseReasonBytesMax);
}

TEST(Duty, WithoutRulesItAlwaysWorks) {
  EXPECT_FALSE(DutyRules{}.any());
  Device device(DutyRules{});
  device.readings.celsius = 100;
  device.readings.load = 100;
  EXPECT_EQ(device.battery(true, 1), "");
}

TEST(WorkHours, AreReadInEveryForm) {
  const auto days = [](std::string_view text) { return parse_work_hours(text)->days; };
  EXPECT_EQ(days("08:00-18:00"), 0x7f);
  EXPECT_EQ(days("Mon 08:00-18:00"), 0x01);
  EXPECT_EQ(days("sat,SUN 00:00-24:00"), 0x60);
  EXPECT_EQ(days("Mon-Fri 08:00-18:00"), 0x1f);
  EXPECT_EQ(days("Fri-Mon 08:00-18:00"), 0x71);
  EXPECT_EQ(days("  Mon Wed-Thu,Sun  08:00-18:00"), 0x4d);
  EXPECT_EQ(parse_work_hours("08:05-24:00")->from, 8 * 60 + 5);
  EXPECT_EQ(parse_work_hours("08:05-24:00")->to, 24 * 60);
}

TEST(WorkHours, WhatIsNoneIsRefused) {
  for (const char* text : {"",
                           " ",
                           "8:00-18:00",
                           "08:00",
                           "08:00-",
                           "-18:00",
                           "08:00-18:60",
                           "08:00-24:01",
                           "25:00-26:00",
                           "24:00-06:00",
                           "08:00-08:00",
                           "08:00-18:00 Mon",
                           "08:00-18:00x",
                           "Mo 08:00-18:00",
                           "Mon-Xyz 08:00-18:00",
                           "Mon",
                           "Mon-",
                           "08:00 - 18:00",
                           "08-18",
                           "0x:00-18:00",
                           "08:00-18:00,20:00-22:00",
                           "- 08:00-18:00"}) {
    EXPECT_FALSE(parse_work_hours(text)) << text;
  }
}

TEST(WorkHours, AcrossMidnightBelongToTheDayTheyBegin) {
  const WorkHours friday = *parse_work_hours("Fri 22:00-06:00");
  EXPECT_FALSE(friday.contains(at(4, 5)));  // Friday morning is Thursday's night
  EXPECT_FALSE(friday.contains(at(4, 21, 59)));
  EXPECT_TRUE(friday.contains(at(4, 22)));
  EXPECT_TRUE(friday.contains(at(5, 5, 59)));
  EXPECT_FALSE(friday.contains(at(5, 6)));
  EXPECT_FALSE(friday.contains(at(5, 23)));
  const WorkHours sunday = *parse_work_hours("Sun 23:00-01:00");
  EXPECT_TRUE(sunday.contains(at(0, 0, 30))) << "into Monday";
}

TEST(WorkHours, SeveralAndWhenTheNextBegin) {
  const std::vector<WorkHours> hours = {*parse_work_hours("Mon-Fri 18:00-08:00"),
                                        *parse_work_hours("Sat Sun 10:00-12:00")};
  EXPECT_TRUE(any_contains(hours, at(0, 19)));
  EXPECT_FALSE(any_contains(hours, at(0, 12)));
  EXPECT_TRUE(any_contains(hours, at(5, 11)));
  EXPECT_EQ(next_start(hours, at(0, 12)), "18:00");
  EXPECT_EQ(next_start(hours, at(5, 8)), "10:00");
  EXPECT_EQ(next_start(hours, at(6, 12)), "Mon 18:00");
  EXPECT_EQ(next_start(hours, at(6, 20)), "18:00") << "tomorrow, within a day";
  const std::vector<WorkHours> one = {*parse_work_hours("Wed 10:00-11:00")};
  EXPECT_EQ(next_start(one, at(2, 11)), "Wed 10:00") << "in a week";
}

}  // namespace
}  // namespace retire::worker
