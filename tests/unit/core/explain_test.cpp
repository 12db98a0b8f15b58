#include "tests/unit/core/cluster.hpp"

namespace retire::core::testing {
namespace {

Explanation why(Cluster& cluster, const TaskId& task) {
  return cluster.scheduler.explain(cluster.scheduler.find(task));
}

TEST(Why, NobodyOffersTheType) {
  Cluster cluster;
  cluster.join("a");
  const Explanation out = why(cluster, cluster.submit(spec_of("fold")));
  EXPECT_EQ(out.reason, "no_handler");
  ASSERT_EQ(out.devices.size(), 1u);
  EXPECT_EQ(out.devices[0].verdict, "no_handler");
  EXPECT_EQ(out.position, 1u);
}

TEST(Why, NamesFieldWantedAndHasOnEachDeviceAndTheNearestMiss) {
  Cluster cluster;
  cluster.join("nas-1");
  Capabilities phone = Cluster::device_of("phone");
  phone.memory_total_gb = 2;
  phone.platform = "android";
  cluster.join(phone);
  Requirements requirements;
  requirements.min_memory_gb = 16;
  requirements.required_platform = "linux";
  const Explanation out = why(cluster, cluster.submit(spec_of("echo", Priority::Normal, requirements)));
  EXPECT_EQ(out.reason, "no_device_matches");
  ASSERT_EQ(out.devices.size(), 2u);
  EXPECT_EQ(out.devices[0].device_id, "nas-1");
  ASSERT_EQ(out.devices[0].unmet.size(), 1u);
  EXPECT_EQ(out.devices[0].unmet[0].requirement, "min_memory_gb");
  EXPECT_EQ(out.devices[0].unmet[0].wanted, "16");
  EXPECT_EQ(out.devices[0].unmet[0].has, "8");
  EXPECT_EQ(out.devices[1].unmet.size(), 2u);
  EXPECT_EQ(out.nearest, "would run on nas-1 if min_memory_gb were at most 8");
}

TEST(Why, BusyOfflineDrainingAndBackOff) {
  Cluster cluster;
  cluster.join("a");
  cluster.submit(spec_of("echo"));
  const TaskId waiting = cluster.submit(spec_of("echo"));
  EXPECT_EQ(why(cluster, waiting).reason, "devices_busy");
  EXPECT_EQ(why(cluster, waiting).devices[0].verdict, "busy");
  cluster.scheduler.drain(cluster.scheduler.find_device("a"), cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_EQ(why(cluster, waiting).reason, "devices_draining");
  EXPECT_EQ(why(cluster, waiting).devices[0].verdict, "draining");
  EXPECT_EQ(why(cluster, waiting).devices[0].state_reason, "");
  for (int i = 0; i < 4; ++i) cluster.pass(4s);
  EXPECT_EQ(why(cluster, waiting).reason, "devices_offline");
  EXPECT_EQ(why(cluster, waiting).devices[0].verdict, "offline");
}

TEST(Why, ATaskThatRunsOrIsFinalSaysSo) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  EXPECT_EQ(why(cluster, task).status, TaskStatus::Assigned);
  EXPECT_EQ(why(cluster, task).devices[0].verdict, "runs_it");
  EXPECT_FALSE(why(cluster, task).position.has_value());
  cluster.finish(task);
  EXPECT_EQ(why(cluster, task).status, TaskStatus::Success);
  EXPECT_EQ(why(cluster, task).reason, "");
}

TEST(Why, PlaceInLineIsExactWhateverLeftTheLineAndCameBack) {
  Cluster cluster;
  Rng rng(5);
  cluster.join("a", 1, {"echo", "fold"});
  cluster.submit(spec_of("echo"));
  cluster.join("b", 40, {"echo", "fold"});
  std::vector<TaskId> held;
  for (int i = 0; i < 40; ++i) held.push_back(cluster.submit(spec_of(rng.below(2) == 0 ? "echo" : "fold")));
  std::vector<TaskId> line;
  for (int i = 0; i < 3'000; ++i) line.push_back(cluster.submit(spec_of(rng.below(3) == 0 ? "fold" : "echo")));
  const auto expect_line = [&] {
    for (std::size_t i = 0; i < line.size(); ++i) ASSERT_EQ(why(cluster, line[i]).position, i + 1);
    cluster.scheduler.check_invariants(cluster.now);
  };
  const auto cancel_some = [&](std::size_t count) {
    for (std::size_t n = 0; n < count; ++n) {
      // The first, the last, or any.
      const std::uint64_t which = rng.below(10);
      const std::size_t at = which == 0 ? 0 : which == 1 ? line.size() - 1 : rng.below(line.size());
      ASSERT_TRUE(cluster.cancel(line[at]));
      line.erase(line.begin() + static_cast<std::ptrdiff_t>(at));
    }
  };
  cancel_some(2'000);
  expect_line();
  cluster.scheduler.left(cluster.scheduler.find_device("b"), cluster.now, cluster.effects);
  cluster.settle();
  line.insert(line.begin(), held.begin(), held.end());
  expect_line();
  cancel_some(line.size() - 100);
  expect_line();
  for (int i = 0; i < 100; ++i) line.push_back(cluster.submit(spec_of("fold")));
  expect_line();
  cancel_some(line.size());
  cluster.scheduler.check_invariants(cluster.now);
}

TEST(Why, PlaceInLineCountsThoseThatCompete) {
  Cluster cluster;
  cluster.join("a");
  cluster.submit(spec_of("echo"));
  for (int i = 0; i < 3'000; ++i) cluster.submit(spec_of("fold"));  // nobody runs those: no rivals
  std::vector<TaskId> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(cluster.submit(spec_of("echo")));
  const TaskId high = cluster.submit(spec_of("echo", Priority::High));
  EXPECT_EQ(why(cluster, high).position, 1u);
  EXPECT_EQ(why(cluster, tasks[0]).position, 2u);
  EXPECT_EQ(why(cluster, tasks[4]).position, 6u);
  const TaskId other_group = cluster.submit(spec_of("echo", Priority::Normal, {}, "other"));
  EXPECT_EQ(why(cluster, other_group).position, 3u) << "groups take turns: behind the high one and one of the others";
}

TEST(Why, ADeviceWhereItFailedIsSaidToBeAvoided) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.join("b");
  cluster.submit(spec_of("echo"));
  cluster.finish(task, Outcome::Failed);
  cluster.pass_alive(1s);
  const Explanation out = why(cluster, task);
  EXPECT_EQ(out.devices[0].verdict, "failed_there");
  EXPECT_EQ(out.devices[1].verdict, "busy");
  cluster.pass_alive(5s);
  EXPECT_EQ(why(cluster, task).devices[0].verdict, "runs_it");
}

TEST(Why, DryRunKnowsThatTheQueueOrTheTypeIsPaused) {
  Cluster cluster;
  cluster.join("a", 1, {"echo", "fold"});
  cluster.scheduler.pause("echo", cluster.now, cluster.effects);
  EXPECT_EQ(cluster.scheduler.explain(spec_of("echo")).reason, "paused");
  EXPECT_EQ(cluster.scheduler.explain(spec_of("fold")).reason, "");
  cluster.scheduler.pause("", cluster.now, cluster.effects);
  EXPECT_EQ(cluster.scheduler.explain(spec_of("fold")).reason, "paused");
}

TEST(Why, DryRunLeavesNoTrace) {
  Cluster cluster;
  cluster.join("a");
  EXPECT_EQ(cluster.scheduler.explain(spec_of("echo")).reason, "");
  EXPECT_EQ(cluster.scheduler.explain(spec_of("echo")).devices[0].verdict, "can_run");
  EXPECT_EQ(cluster.scheduler.explain(spec_of("fold")).reason, "no_handler");
  cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.scheduler.explain(spec_of("echo")).reason, "devices_busy");
  EXPECT_EQ(cluster.scheduler.tasks().size(), 1u);
}

}  // namespace
}  // namespace retire::core::testing
