#include "handlers/echo/echo.hpp"

#include <gtest/gtest.h>

#include <retire_cluster/plugin.hpp>

#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire::handlers {
namespace {

using nlohmann::json;
using test::FakeAttempt;

class EchoTest : public testing::Test {
 protected:
  test::Hosted echo_{retire_cluster::handler<Echo>("echo", "")};
  FakeAttempt attempt_;
};

TEST_F(EchoTest, GivesAnyPayloadBack) {
  const json payloads[] = {nullptr,
                           true,
                           -7,
                           2.5,
                           "text",
                           json::array({1, "a", nullptr}),
                           {{"message", "hi"}, {"nested", {{"k", {1, 2, 3}}}}},
                           json::binary({0, 255, 7}),
                           std::string(3'000'000, 'x')};
  for (const json& payload : payloads) {
    EXPECT_EQ(echo_.run(payload, attempt_), RC_OK);
    EXPECT_TRUE(attempt_.result_json() == json({{"echo", payload}}));
  }
}

TEST_F(EchoTest, CopiesTheBytesAsTheyAre) {
  const std::string wasteful("\xdb\x00\x00\x00\x02hi", 7);  // a short text in the longest form
  EXPECT_EQ(echo_.run_bytes(wasteful, attempt_), RC_OK);
  EXPECT_EQ(attempt_.result,
            "\x81\xa4"
            "echo" +
                wasteful);
}

TEST_F(EchoTest, RefusesWhatIsNoMsgpack) {
  for (const std::string& payload : {std::string(), std::string("\xc1"), std::string("\x92\x01"),
                                     std::string("\x01\x01"), std::string(100, '\x91')}) {
    EXPECT_EQ(echo_.run_bytes(payload, attempt_), RC_FAILED_PERMANENTLY);
    EXPECT_EQ(attempt_.error.substr(0, 9), "payload: ");
    EXPECT_TRUE(attempt_.result.empty());
  }
}

}  // namespace
}  // namespace retire::handlers
