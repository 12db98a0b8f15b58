// What machines of several kinds tell, as recorded below recorded/.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "common/sensors/files.hpp"
#include "common/sensors/power.hpp"
#include "common/sensors/program.hpp"
#include "common/sensors/system.hpp"
#include "common/sensors/thermal.hpp"

namespace retire::sensors {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

fs::path recorded(const std::string& device) {
  return fs::path(RC_SOURCE_DIR) / "tests/unit/sensors/recorded" / device;
}

// A file system of the test's own, gone at its end.
class Root {
 public:
  Root() {
    std::string name = (fs::temp_directory_path() / "rc_sensors_XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Root() { fs::remove_all(path); }
  void file(const std::string& name, const std::string& text, bool program = false) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << text;
    if (program) chmod((path / name).c_str(), 0755);
  }
  fs::path path;
};

constexpr const char* kTermux = "data/data/com.termux/files/usr/bin/termux-battery-status";

TEST(Power, OfALaptopOnBatteryCountsBothBatteriesAndNotItsMouse) {
  const Power power = read_power(recorded("laptop"));
  EXPECT_EQ(power.on_battery, true);
  EXPECT_EQ(power.charging, false);
  EXPECT_NEAR(power.battery_percent.value(), 100 * 29.1 / 46.6, 0.01);
  EXPECT_FALSE(power.battery_celsius);
}

TEST(Power, OfALaptopThatCharges) {
  const Power power = read_power(recorded("charging"));
  EXPECT_EQ(power.on_battery, false);
  EXPECT_EQ(power.charging, true);
  EXPECT_EQ(power.battery_percent, 67);
  EXPECT_DOUBLE_EQ(power.battery_celsius.value(), 31.2);
}

TEST(Power, OfALaptopThatIsHeldAtItsLimitIsExternal) {
  const Power power = read_power(recorded("held"));
  EXPECT_EQ(power.on_battery, false);
  EXPECT_EQ(power.battery_percent, 80);
}

TEST(Power, OfAPhoneWhoseFilesCanBeRead) {
  const Power power = read_power(recorded("old_phone"));
  EXPECT_EQ(power.on_battery, true);
  EXPECT_EQ(power.battery_percent, 43);
  EXPECT_DOUBLE_EQ(power.battery_celsius.value(), 29.5);
}

TEST(Power, WithoutABatteryNothingIsTold) {
  EXPECT_FALSE(read_power(recorded("board")).told());
  EXPECT_FALSE(read_power(recorded("server")).told());
  EXPECT_FALSE(read_power("/nonexistent").told());
}

TEST(Power, ABatteryThatDischargesThoughAChargerIsInIsOnBattery) {
  const Root root;
  root.file("sys/class/power_supply/AC/type", "Mains\n");
  root.file("sys/class/power_supply/AC/online", "1\n");
  root.file("sys/class/power_supply/BAT0/type", "Battery\n");
  root.file("sys/class/power_supply/BAT0/status", "Discharging\n");
  root.file("sys/class/power_supply/BAT0/capacity", "12\n");
  EXPECT_EQ(read_power(root.path).on_battery, true);
}

TEST(Power, NonsenseIsNotBelieved) {
  const Root root;
  root.file("sys/class/power_supply/BAT0/type", "Battery\n");
  root.file("sys/class/power_supply/BAT0/status", "Unknown\n");
  root.file("sys/class/power_supply/BAT0/capacity", "255\n");
  root.file("sys/class/power_supply/BAT0/temp", "-2731\n");
  root.file("sys/class/power_supply/BAT1/type", "Battery\n");
  root.file("sys/class/power_supply/BAT1/present", "0\n");
  root.file("sys/class/power_supply/BAT1/capacity", "0\n");
  EXPECT_FALSE(read_power(root.path).told());
  root.file("sys/class/power_supply/BAT0/capacity", "many\n");
  root.file("sys/class/power_supply/BAT0/temp", "");
  EXPECT_FALSE(read_power(root.path).told());
}

TEST(Termux, TellsWhatTheFilesDoNot) {
  const Power unplugged = parse_termux_battery(*read_small_file(recorded("phone/termux-battery-status.json"))).value();
  EXPECT_EQ(unplugged.on_battery, true);
  EXPECT_EQ(unplugged.charging, false);
  EXPECT_EQ(unplugged.battery_percent, 41);
  EXPECT_NEAR(unplugged.battery_celsius.value(), 28.7, 0.001);
  const Power plugged =
      parse_termux_battery(*read_small_file(recorded("phone/termux-battery-status-charging.json"))).value();
  EXPECT_EQ(plugged.on_battery, false);
  EXPECT_EQ(plugged.charging, true);
}

TEST(Termux, AnythingElseIsNothing) {
  for (const char* text :
       {"", "{}", "[]", "null", "{\"percentage\": \"41\"}", "{\"percentage\": 141}",
        "{\"percentage\":", "Termux:API is not yet available", "{\"status\": \"UNKNOWN\"}", "{\"temperature\": 1e9}"}) {
    EXPECT_FALSE(parse_termux_battery(text)) << text;
  }
}

TEST(Termux, IsAskedOnlyWhereTheFilesTellNothing) {
  const Root root;
  root.file(kTermux, "#!/bin/sh\necho '{\"percentage\": 77, \"status\": \"DISCHARGING\"}'\n", true);
  EXPECT_EQ(ask_power(root.path, 30s).battery_percent, 77);
  root.file("sys/class/power_supply/battery/type", "Battery\n");
  root.file("sys/class/power_supply/battery/capacity", "12\n");
  EXPECT_EQ(ask_power(root.path, 30s).battery_percent, 12);
}

TEST(Termux, AProgramThatHangsIsKilledWithAllItHasStarted) {  // as it does without the Termux:API application
  const Root root;
  root.file(kTermux, "#!/bin/sh\necho $$ > " + (root.path / "pid").string() + "\nsleep 1000 &\nwait\n", true);
  // Given time to start on a busy machine, and not to end.
  const auto from = std::chrono::steady_clock::now();
  Power power;
  for (Duration given = 200ms; !fs::exists(root.path / "pid") && given < 60s; given *= 2) {
    power = ask_power(root.path, given);
  }
  EXPECT_FALSE(power.told());
  EXPECT_LT(std::chrono::steady_clock::now() - from, 500s);
  pid_t pid = 0;
  std::ifstream(root.path / "pid") >> pid;
  ASSERT_GT(pid, 0);
  EXPECT_EQ(kill(pid, 0), -1) << "the program was reaped";
}

TEST(Termux, AProgramThatFailsIsNothing) {
  const Root root;
  root.file(kTermux, "#!/bin/sh\nexit 1\n", true);
  EXPECT_FALSE(ask_power(root.path, 30s).told());
  root.file(kTermux, "#!/nonexistent/interpreter\n", true);
  EXPECT_FALSE(ask_power(root.path, 30s).told());
}

TEST(Program, OutputIsBounded) {
  const auto text = output_of("/bin/sh", {"-c", "head -c 1000000 /dev/zero"}, 60s);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->size(), 65'536u);
  EXPECT_FALSE(output_of("/nonexistent", {}, 1s));
}

TEST(Temperature, IsThatOfTheProcessor) {
  EXPECT_EQ(read_temperature(recorded("laptop")), 62) << "not the wireless card's 65";
  EXPECT_EQ(read_temperature(recorded("board")), 54.53);
  EXPECT_EQ(read_temperature(recorded("server")), 43.125) << "not the disk's 66.85";
  EXPECT_EQ(read_temperature(recorded("old_phone")), 46) << "in whole degrees; a sensor that is off says 0";
  EXPECT_FALSE(read_temperature(recorded("phone")));
}

TEST(Temperature, OfAnythingIfNobodySaysThatItIsTheProcessor) {
  const Root root;
  root.file("sys/class/thermal/thermal_zone0/type", "acpitz\n");
  root.file("sys/class/thermal/thermal_zone0/temp", "48000\n");
  root.file("sys/class/thermal/thermal_zone1/type", "acpitz\n");
  root.file("sys/class/thermal/thermal_zone1/temp", "-273200\n");
  root.file("sys/class/thermal/thermal_zone2/type", "x\n");
  EXPECT_EQ(read_temperature(root.path), 48);
}

TEST(Load, IsTheFirstFigureOrWhatTheSystemSays) {
  EXPECT_EQ(read_load(recorded("laptop")), 0.52);
  EXPECT_FALSE(read_load(recorded("phone")));
  EXPECT_TRUE(read_load("/"));
}

TEST(CpuModel, IsWhatItsMakerCallsIt) {
  EXPECT_EQ(read_cpu_model(recorded("laptop"), {}), "Intel(R) Core(TM) i5-4300U CPU @ 1.90GHz");
  EXPECT_EQ(read_cpu_model(recorded("board"), {}), "Raspberry Pi 4 Model B Rev 1.4");
  EXPECT_EQ(read_cpu_model(recorded("old_phone"), {}), "Qualcomm MSM 8974 HAMMERHEAD (Flattened Device Tree)");
  const auto properties = parse_getprop(*read_small_file(recorded("phone/getprop.txt")));
  EXPECT_EQ(read_cpu_model(recorded("phone"), properties), "Google Tensor");
  EXPECT_EQ(read_cpu_model(recorded("phone"), {{"ro.board.platform", "gs101"}}), "gs101");
  EXPECT_EQ(read_cpu_model(recorded("server"), {}), "");
}

TEST(MachineModel, IsWhatIsPrintedOnIt) {
  EXPECT_EQ(read_machine_model(recorded("laptop"), {}), "LENOVO 20AMS0CX00");
  EXPECT_EQ(read_machine_model(recorded("board"), {}), "Raspberry Pi 4 Model B Rev 1.4")
      << "without the NUL at its end";
  EXPECT_EQ(read_machine_model(recorded("server"), {}), "");
  EXPECT_EQ(read_machine_model("/nonexistent",
                               {{"ro.product.manufacturer", "Fairphone"}, {"ro.product.model", "Fairphone 3"}}),
            "Fairphone 3");
}

TEST(Android, PropertiesComeFromTheProgramAndElseFromTheFile) {
  const Root root;
  EXPECT_TRUE(android_properties(root.path, 1s).empty());
  root.file("system/build.prop", *read_small_file(recorded("old_phone/system/build.prop")));
  EXPECT_EQ(android_properties(root.path, 1s).at("ro.build.version.release"), "6.0.1");
  root.file("system/bin/getprop", "#!/bin/sh\ncat " + recorded("phone/getprop.txt").string() + "\n", true);
  const auto properties = android_properties(root.path, 30s);
  EXPECT_EQ(properties.at("ro.build.version.release"), "14");
  EXPECT_EQ(properties.at("ro.product.model"), "Pixel 6");
  EXPECT_EQ(properties.size(), 10u);
}

TEST(Android, OutputOfGetpropThatIsNoneIsSkipped) {
  EXPECT_TRUE(parse_getprop("").empty());
  EXPECT_TRUE(parse_getprop("getprop: not found\n[half]: [x\n[]\n[a] [b]\n").empty());
  EXPECT_EQ(parse_getprop("[a]: []\r\n").at("a"), "");
}

}  // namespace
}  // namespace retire::sensors
