#include "handlers/sleep/sleep.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <retire_cluster/plugin.hpp>
#include <thread>

#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire::handlers {
namespace {

using nlohmann::json;
using test::FakeAttempt;

class SleepTest : public testing::Test {
 protected:
  test::Hosted sleep_{retire_cluster::handler<Sleep>("sleep", "")};
  FakeAttempt attempt_;
};

TEST_F(SleepTest, WaitsForAsLongAsItIsTold) {
  EXPECT_EQ(sleep_.run({{"duration", 0.001}}, attempt_), RC_OK);
  EXPECT_EQ(attempt_.waits, std::vector<double>{0.001});
  EXPECT_EQ(attempt_.result_json(), json({{"slept_for", 0.001}}));
}

TEST_F(SleepTest, DoesNotWaitForNothing) {
  EXPECT_EQ(sleep_.run({{"duration", 0}}, attempt_), RC_OK);
  EXPECT_TRUE(attempt_.waits.empty());
  EXPECT_EQ(attempt_.result_json(), json({{"slept_for", 0}}));
}

TEST_F(SleepTest, WakesAtOnceWhenCancelled) {
  std::thread canceller([&] {
    EXPECT_TRUE(test::eventually([&] { return attempt_.is_waiting(); }));
    attempt_.cancel();
  });
  EXPECT_EQ(sleep_.run({{"duration", 3600}}, attempt_), RC_CANCELLED);
  canceller.join();
}

TEST_F(SleepTest, DoesNotBeginWhenAlreadyCancelled) {
  attempt_.cancel();
  EXPECT_EQ(sleep_.run({{"duration", 0}}, attempt_), RC_CANCELLED);
}

TEST_F(SleepTest, RefusesDurationsThatMakeNoSense) {
  const std::pair<json, std::string> cases[] = {
      {{{"duration", -0.5}}, "field \"duration\" must be at least 0, got -0.5"},
      {{{"duration", 1e12}}, "field \"duration\" must be at most 31622400, got 1000000000000"},
      {{{"duration", std::numeric_limits<double>::quiet_NaN()}}, "field \"duration\" must be a finite number"},
      {{{"duration", std::numeric_limits<double>::infinity()}}, "field \"duration\" must be a finite number"},
      {{{"duration", "5"}}, "field \"duration\" must be a number, got string"},
      {{{"duration", true}}, "field \"duration\" must be a number, got boolean"},
      {{{"duration", nullptr}}, "field \"duration\" is missing"},
      {json::object(), "field \"duration\" is missing"},
      {{{"seconds", 1}}, "field \"seconds\" is not known; known are duration"},
      {json::array({1}), "payload must be a map, got list"},
      {nullptr, "payload must be a map, got null"},
  };
  for (const auto& [payload, message] : cases) {
    EXPECT_EQ(sleep_.run(payload, attempt_), RC_FAILED_PERMANENTLY);
    EXPECT_EQ(attempt_.error, message);
  }
  EXPECT_TRUE(attempt_.waits.empty());
}

}  // namespace
}  // namespace retire::handlers
