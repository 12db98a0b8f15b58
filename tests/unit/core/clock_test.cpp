// The wall clock steps (a device without a battery for its clock, an administrator, NTP): nothing that is decided by
// durations may notice.
#include "tests/unit/core/cluster.hpp"

namespace retire::core::testing {
namespace {

TEST(Clock, AStepOfTheWallClockEndsNoLease) {
  for (const Duration step : {Duration(24h), Duration(-24h * 3650)}) {
    Cluster cluster;
    cluster.join("a");
    const TaskId task = cluster.submit(spec_of("echo"));
    for (int second = 0; second < 14; ++second) {
      cluster.pass(1s);
      cluster.beat("a");
    }
    cluster.now.wall += step;
    cluster.pass(1s);  // 15 s after its hello main looks whether it has been silent
    EXPECT_TRUE(cluster.lost.empty());
    EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "online");
    EXPECT_EQ(cluster.status(task), TaskStatus::Assigned);
    cluster.finish(task);
    EXPECT_EQ(cluster.status(task), TaskStatus::Success);
  }
}

TEST(Clock, ADeviceIsLostInTimeAlthoughTheWallClockWentBack) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.now.wall -= 24h * 3650;
  for (int n = 0; n < 8; ++n) cluster.pass(4s);
  EXPECT_EQ(cluster.lost, std::vector<std::string>{"a"});
  EXPECT_EQ(cluster.status(task), TaskStatus::Queued);
}

TEST(Clock, ARetryComesAfterItsBackOffWhateverTheWallClockDoes) {
  for (const Duration step : {Duration(24h), Duration(-24h)}) {
    Cluster cluster;
    cluster.join("a");
    const TaskId task = cluster.submit(spec_of("echo"));
    cluster.finish(task, Outcome::Failed);
    cluster.now.wall += step;
    cluster.pass(0s);
    EXPECT_FALSE(cluster.is_sent(task)) << "it waits for a second at least";
    cluster.pass_alive(10s);
    EXPECT_TRUE(cluster.is_sent(task));
  }
}

}  // namespace
}  // namespace retire::core::testing
