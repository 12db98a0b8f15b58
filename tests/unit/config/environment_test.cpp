#include "common/config/environment.hpp"

#include <gtest/gtest.h>

#include "common/config/exit_status.hpp"

namespace retire::config {
namespace {

TEST(Environment, HomeIsTheVariableElseBesideTheUsersFiles) {
  EXPECT_EQ(home_directory({{"RETIRE_CLUSTER_HOME", "/srv/rc"}, {"HOME", "/home/ann"}}), "/srv/rc");
  EXPECT_EQ(home_directory({{"HOME", "/home/ann"}}), "/home/ann/.retire-cluster");
  EXPECT_EQ(home_directory({{"RETIRE_CLUSTER_HOME", ""}, {"HOME", "/home/ann"}}), "/home/ann/.retire-cluster");
  EXPECT_EQ(home_directory({}), "./.retire-cluster");
}

TEST(Environment, AddressIsTheVariableElseLoopback) {
  EXPECT_EQ(default_address({{"RETIRE_CLUSTER_ADDRESS", "nas:9000"}}), "nas:9000");
  EXPECT_EQ(default_address({}), "127.0.0.1:8080");
}

TEST(Environment, VariableOfAFlagIsUpperCaseWithUnderscores) {
  EXPECT_EQ(variable_of_flag("min-memory-gb"), "RETIRE_CLUSTER_MIN_MEMORY_GB");
}

TEST(ExitStatus, IsTheOneOfTheContract) {
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::Conflict)), 1);
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::Invalid)), 2);
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::TooLarge)), 2);
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::Configuration)), 3);
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::Unreachable)), 4);
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::NotLetIn)), 5);
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::NotFound)), 6);
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::NotPermitted)), 7);
  EXPECT_EQ(static_cast<int>(exit_status(ErrorCode::TimedOut)), 8);
}

}  // namespace
}  // namespace retire::config
