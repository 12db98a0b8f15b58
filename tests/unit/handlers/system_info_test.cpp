#include "handlers/system_info/system_info.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <retire_cluster/plugin.hpp>

#include "tests/unit/plugins/fake_attempt.hpp"
#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire::handlers {
namespace {

using nlohmann::json;
using test::FakeAttempt;
namespace rc = retire_cluster;

const json kDevice = {{"device_id", "old-phone"}, {"role", "mobile"},         {"platform", "android"},
                      {"cpu_count", 8},           {"memory_total_gb", 3.7},   {"has_gpu", false},
                      {"tags", {"attic"}},        {"uptime_seconds", "stale"}};

json run_with(const SystemPaths& paths) {
  const std::string device = test::to_msgpack(kDevice);
  SystemInfo handler({reinterpret_cast<const std::uint8_t*>(device.data()), device.size()}, paths);
  FakeAttempt attempt;
  rc::Context context(&attempt.context());
  msgpack::object payload;
  handler.run(payload, context);
  return attempt.result_json();
}

TEST(SystemInfo, TellsTheDevicesRecordAndWhatItMeasures) {
  test::Hosted hosted(rc::handler<SystemInfo>("system_info", ""), nullptr, kDevice);
  ASSERT_TRUE(hosted.created()) << hosted.refusal;
  FakeAttempt attempt;
  ASSERT_EQ(hosted.run(json::object(), attempt), RC_OK) << attempt.error;
  const json result = attempt.result_json();
  for (const char* key : {"device_id", "role", "platform", "cpu_count", "memory_total_gb", "has_gpu", "tags"}) {
    EXPECT_EQ(result.at(key), kDevice.at(key)) << key;
  }
  EXPECT_EQ(result.at("load_average").size(), 3u);
  EXPECT_GT(result.at("memory_free_gb").get<double>(), 0);
  EXPECT_GE(result.at("storage_free_gb").get<double>(), 0);
  EXPECT_GT(result.at("uptime_seconds").get<double>(), 0) << "measured, not what the record says";
  EXPECT_FALSE(result.at("os").at("name").get<std::string>().empty());
  EXPECT_FALSE(result.at("os").at("kernel").get<std::string>().empty());
}

std::string recorded(const std::string& device) {
  return std::string(RC_SOURCE_DIR) + "/tests/unit/sensors/recorded/" + device;
}

TEST(SystemInfo, ReadsWhatALaptopWrites) {
  SystemPaths paths;
  paths.root = recorded("laptop");
  const json result = run_with(paths);
  EXPECT_EQ(result.at("load_average"), json({0.52, 0.58, 0.59}));
  EXPECT_EQ(result.at("memory_free_gb"), 5.5);
  EXPECT_EQ(result.at("uptime_seconds"), 123.45);
  EXPECT_EQ(result.at("os").at("name"), "Debian GNU/Linux");
  EXPECT_EQ(result.at("os").at("version"), "12");
  EXPECT_EQ(result.at("machine_model"), "LENOVO 20AMS0CX00");
  EXPECT_EQ(result.at("cpu_model"), "Intel(R) Core(TM) i5-4300U CPU @ 1.90GHz");
  EXPECT_EQ(result.at("temperature_celsius"), 62.0);
  EXPECT_NEAR(result.at("battery").at("percent").get<double>(), 62.45, 0.01);
  EXPECT_EQ(result.at("battery").at("on_battery"), true);
  EXPECT_EQ(result.at("battery").at("charging"), false);
  EXPECT_EQ(result.at("battery").at("temperature_celsius"), nullptr);
}

TEST(SystemInfo, ReadsWhatABoardWrites) {
  SystemPaths paths;
  paths.root = recorded("board");
  const json result = run_with(paths);
  EXPECT_EQ(result.at("machine_model"), "Raspberry Pi 4 Model B Rev 1.4");
  EXPECT_EQ(result.at("cpu_model"), "Raspberry Pi 4 Model B Rev 1.4");
  EXPECT_EQ(result.at("temperature_celsius"), 54.53);
  EXPECT_EQ(result.at("battery"), nullptr) << "it has none";
}

TEST(SystemInfo, ReadsWhatAnAndroidOfTodayTells) {  // which hides most of /proc and /sys from applications
  const test::TemporaryDirectory root;
  const auto program = [&](const std::string& name, const std::string& prints) {
    const std::filesystem::path file = root.path() / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << "#!/bin/sh\ncat " + recorded("phone/" + prints) + "\n";
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  };
  program("system/bin/getprop", "getprop.txt");
  program("data/data/com.termux/files/usr/bin/termux-battery-status", "termux-battery-status-charging.json");
  std::filesystem::create_directories(root.path() / "proc");
  for (const char* file : {"cpuinfo", "meminfo"}) {
    std::filesystem::copy_file(recorded("phone/proc/") + file, root.path() / "proc" / file);
  }
  SystemPaths paths;
  paths.root = root.path();
  const json result = run_with(paths);
  EXPECT_EQ(result.at("os").at("name"), "Android");
  EXPECT_EQ(result.at("os").at("version"), "14");
  EXPECT_EQ(result.at("machine_model"), "Google Pixel 6");
  EXPECT_EQ(result.at("cpu_model"), "Google Tensor");
  EXPECT_EQ(result.at("memory_free_gb"), 3.0);
  EXPECT_EQ(result.at("load_average").size(), 3u) << "from the kernel's own call";
  EXPECT_GT(result.at("uptime_seconds").get<double>(), 0);
  EXPECT_EQ(result.at("temperature_celsius"), nullptr);
  EXPECT_EQ(result.at("battery"),
            json({{"percent", 88.0}, {"on_battery", false}, {"charging", true}, {"temperature_celsius", 33.1}}));
}

TEST(SystemInfo, ReadsWhatAnOldAndroidWrites) {
  SystemPaths paths;
  paths.root = recorded("old_phone");
  const json result = run_with(paths);
  EXPECT_EQ(result.at("os").at("name"), "Android");
  EXPECT_EQ(result.at("os").at("version"), "6.0.1");
  EXPECT_EQ(result.at("machine_model"), "Nexus 5");
  EXPECT_EQ(result.at("temperature_celsius"), 46.0);
  EXPECT_EQ(result.at("battery").at("percent"), 43.0);
}

TEST(SystemInfo, SaysNullForWhatTheSystemHides) {
  SystemPaths paths;
  paths.storage = "/no/such/place";
  EXPECT_EQ(run_with(paths).at("storage_free_gb"), nullptr);
}

TEST(SystemInfo, WorksWithoutARecord) {
  test::Hosted hosted(rc::handler<SystemInfo>("system_info", ""));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run(nullptr, attempt), RC_OK);
  EXPECT_EQ(attempt.result_json().size(), 9u);
}

TEST(SystemInfo, RefusesPayloadsWithContent) {
  test::Hosted hosted(rc::handler<SystemInfo>("system_info", ""));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run({{"verbose", true}}, attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "field \"verbose\" is not known");
  EXPECT_EQ(hosted.run("all", attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "payload must be a map, got string");
}

TEST(SystemInfo, RefusesARecordThatIsNoMap) {
  const test::Hosted hosted(rc::handler<SystemInfo>("system_info", ""), nullptr, json::array({1}));
  EXPECT_FALSE(hosted.created());
  EXPECT_EQ(hosted.refusal, "the device's record must be a map, got list");
}

}  // namespace
}  // namespace retire::handlers
