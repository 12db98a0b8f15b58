#include "handlers/system_info/system_info.hpp"

#include <gtest/gtest.h>

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

TEST(SystemInfo, ReadsWhatLinuxWrites) {
  const test::TemporaryDirectory directory;
  SystemPaths paths;
  paths.loadavg = directory.write("loadavg", "0.50 0.25 0.10 1/200 4711\n");
  paths.meminfo = directory.write("meminfo", "MemTotal: 4194304 kB\nMemFree: 1 kB\nMemAvailable:  2097152 kB\n");
  paths.uptime = directory.write("uptime", "123.45 400.00\n");
  paths.os_release = directory.write("os-release", "ID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID='12'\n");
  paths.build_prop = directory.path() / "none";
  const json result = run_with(paths);
  EXPECT_EQ(result.at("load_average"), json({0.5, 0.25, 0.1}));
  EXPECT_EQ(result.at("memory_free_gb"), 2.0);
  EXPECT_EQ(result.at("uptime_seconds"), 123.45);
  EXPECT_EQ(result.at("os").at("name"), "Debian GNU/Linux");
  EXPECT_EQ(result.at("os").at("version"), "12");
}

TEST(SystemInfo, ReadsWhatAndroidWrites) {
  const test::TemporaryDirectory directory;
  SystemPaths paths;
  paths.loadavg = paths.uptime = paths.os_release = directory.path() / "closed";  // as to applications there
  paths.build_prop = directory.write("build.prop", "# made by a build\nro.build.id=X\nro.build.version.release=14\n");
  const json result = run_with(paths);
  EXPECT_EQ(result.at("os").at("name"), "Android");
  EXPECT_EQ(result.at("os").at("version"), "14");
  EXPECT_EQ(result.at("load_average").size(), 3u) << "from the kernel's own call";
  EXPECT_GT(result.at("uptime_seconds").get<double>(), 0);
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
  EXPECT_EQ(attempt.result_json().size(), 5u);
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
