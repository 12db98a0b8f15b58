// Which task goes first.
#include "tests/unit/core/cluster.hpp"

namespace retire::core::testing {
namespace {

// The order in which one device with one slot gets what waits.
std::vector<TaskId> order(Cluster& cluster) {
  std::vector<TaskId> out;
  while (!cluster.sent.empty()) {
    out.push_back(cluster.sent.front().task);
    cluster.finish(out.back(), Outcome::Success, 10s);
  }
  return out;
}

TEST(Order, HigherPrioritiesFirstThenTheOldest) {
  Cluster cluster;
  std::vector<TaskId> low_to_urgent;
  for (const Priority priority : {Priority::Low, Priority::Normal, Priority::High, Priority::Urgent}) {
    low_to_urgent.push_back(cluster.submit(spec_of("echo", priority)));
  }
  const TaskId second_urgent = cluster.submit(spec_of("echo", Priority::Urgent));
  cluster.join("a");
  EXPECT_EQ(order(cluster),
            (std::vector{low_to_urgent[3], second_urgent, low_to_urgent[2], low_to_urgent[1], low_to_urgent[0]}));
}

TEST(Order, FirstInFirstOutAcrossTypesAndRequirements) {
  Cluster cluster;
  std::vector<TaskId> tasks;
  for (int i = 0; i < 12; ++i) {
    Requirements requirements;
    requirements.min_cpu_cores = static_cast<std::uint32_t>(i % 3);
    tasks.push_back(cluster.submit(spec_of(i % 2 == 0 ? "echo" : "fold", Priority::Normal, requirements)));
  }
  cluster.join("a", 1, {"echo", "fold"});
  EXPECT_EQ(order(cluster), tasks);
}

TEST(Order, ATaskThatNobodyCanRunHoldsUpNothing) {
  Cluster cluster;
  Requirements big;
  big.min_memory_gb = 1000;
  const TaskId impossible = cluster.submit(spec_of("echo", Priority::Urgent, big));
  const TaskId no_handler = cluster.submit(spec_of("fold", Priority::Urgent));
  const TaskId possible = cluster.submit(spec_of("echo", Priority::Low));
  cluster.join("a");
  EXPECT_EQ(order(cluster), std::vector{possible});
  EXPECT_EQ(cluster.status(impossible), TaskStatus::Queued);
  EXPECT_EQ(cluster.status(no_handler), TaskStatus::Queued);
}

TEST(Order, GroupsTakeTurns) {
  Cluster cluster;
  std::vector<TaskId> many;
  for (int i = 0; i < 6; ++i) many.push_back(cluster.submit(spec_of("echo", Priority::Normal, {}, "many")));
  std::vector<TaskId> few;
  for (int i = 0; i < 2; ++i) few.push_back(cluster.submit(spec_of("echo", Priority::Normal, {}, "few")));
  cluster.join("a");
  EXPECT_EQ(order(cluster), (std::vector{many[0], few[0], many[1], few[1], many[2], many[3], many[4], many[5]}));
}

TEST(Order, GroupsDoNotMatterAcrossPriorities) {
  Cluster cluster;
  const TaskId low = cluster.submit(spec_of("echo", Priority::Low, {}, "a"));
  const TaskId high1 = cluster.submit(spec_of("echo", Priority::High, {}, "b"));
  const TaskId high2 = cluster.submit(spec_of("echo", Priority::High, {}, "b"));
  cluster.join("a");
  EXPECT_EQ(order(cluster), (std::vector{high1, high2, low}));
}

TEST(Order, WhatIsTriedAgainRegainsItsOldPlace) {
  Cluster cluster;
  cluster.join("a");
  const TaskId first = cluster.submit(spec_of("echo"));
  const TaskId second = cluster.submit(spec_of("echo"));
  const TaskId third = cluster.submit(spec_of("echo"));
  cluster.finish(first, Outcome::Failed);
  EXPECT_TRUE(cluster.is_sent(second)) << "while the first waits for its retry";
  cluster.pass_alive(1s);
  cluster.finish(second, Outcome::Success, 10s);
  EXPECT_TRUE(cluster.is_sent(first)) << "before the third, which is younger";
  EXPECT_FALSE(cluster.is_sent(third));
}

TEST(Order, ManyThatComeBackInAnyOrderStandInOrder) {
  Cluster cluster;
  std::vector<TaskId> tasks;
  cluster.join("a", 50);
  for (int i = 0; i < 50; ++i) tasks.push_back(cluster.submit(spec_of("echo")));
  ASSERT_EQ(cluster.sent.size(), 50u);
  for (int i = 0; i < 50; ++i) cluster.finish(tasks[static_cast<std::size_t>(i * 7 % 50)], Outcome::HandedBack);
  ASSERT_TRUE(cluster.sent.empty());
  cluster.join("a", 1);
  cluster.pass_alive(1s);
  EXPECT_EQ(order(cluster), tasks);
}

TEST(Order, CancelledOnesAreLeftOut) {
  Cluster cluster;
  std::vector<TaskId> tasks;
  for (int i = 0; i < 6; ++i) tasks.push_back(cluster.submit(spec_of("echo")));
  cluster.cancel(tasks[0]);
  cluster.cancel(tasks[3]);
  cluster.cancel(tasks[5]);
  cluster.join("a");
  EXPECT_EQ(order(cluster), (std::vector{tasks[1], tasks[2], tasks[4]}));
}

TEST(Order, ResourcesAreReservedAndNeverOversubscribed) {
  Cluster cluster;
  Requirements two_cpus;
  two_cpus.resources = {{"cpus", 2}};
  Requirements three_cpus;
  three_cpus.resources = {{"cpus", 3}};
  cluster.join("a", 8);  // 4 cpus
  const TaskId first = cluster.submit(spec_of("echo", Priority::Normal, two_cpus));
  const TaskId big = cluster.submit(spec_of("echo", Priority::Normal, three_cpus));
  const TaskId third = cluster.submit(spec_of("echo", Priority::Normal, two_cpus));
  EXPECT_TRUE(cluster.is_sent(first));
  EXPECT_FALSE(cluster.is_sent(big)) << "3 of 4 are not free";
  EXPECT_TRUE(cluster.is_sent(third)) << "and it holds up nobody";
  cluster.finish(first);
  EXPECT_FALSE(cluster.is_sent(big));
  cluster.finish(third);
  EXPECT_TRUE(cluster.is_sent(big));
}

}  // namespace
}  // namespace retire::core::testing
