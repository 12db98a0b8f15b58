#include "common/base/failpoint.hpp"

#include <gtest/gtest.h>
#include <signal.h>

namespace retire {
namespace {

void pass(Failpoint point, int times) {
  for (int n = 0; n < times; ++n) failpoint(point);
}

TEST(Failpoint, UnarmedItDoesNothing) { pass(Failpoint::Received, 3); }

TEST(Failpoint, EndsTheProcessAtTheNthPassAndNotBefore) {
  const auto run = [](int passes) {
    if (!arm_failpoint("received=kill@3").ok()) std::exit(7);
    pass(Failpoint::Appended, 5);  // another one
    pass(Failpoint::Received, passes);
    std::exit(0);
  };
  EXPECT_EXIT(run(2), testing::ExitedWithCode(0), "");
  EXPECT_EXIT(run(3), testing::KilledBySignal(SIGKILL), "");
}

TEST(Failpoint, WhatCannotBeReadIsRefusedByName) {
  for (const char* text : {"", "received", "received=stop@1", "received=kill", "received=kill@", "received=kill@0",
                           "received=kill@-1", "received=kill@1x", "received=kill@99999999999999999999"}) {
    const Status armed = arm_failpoint(text);
    ASSERT_FALSE(armed.ok()) << text;
    EXPECT_EQ(armed.error().code, ErrorCode::Configuration);
    EXPECT_NE(armed.error().detail.find("\"" + std::string(text) + "\""), std::string::npos) << armed.error().detail;
  }
  const Status unknown = arm_failpoint("nowhere=kill@1");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.error().detail.find("names none of received, appended"), std::string::npos)
      << unknown.error().detail;
}

}  // namespace
}  // namespace retire
