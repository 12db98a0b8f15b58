// Short work is sent ahead of time, and comes back when that was too much.
#include <set>

#include "tests/unit/core/cluster.hpp"

namespace retire::core::testing {
namespace {

// Runs a few attempts of the type, so that its run time is known.
void teach(Cluster& cluster, const std::string& type, Duration run) {
  for (int i = 0; i < 20; ++i) cluster.finish(cluster.submit(spec_of(type)), Outcome::Success, run);
}

TEST(SendingAhead, UnknownAndLongTasksOnlyGoToFreeSlots) {
  Cluster cluster;
  cluster.join("a", 2);
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 2u);
  while (!cluster.sent.empty()) cluster.finish(cluster.sent.front().task, Outcome::Success, 10s);
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 2u) << "long ones";
}

TEST(SendingAhead, ShortTasksAreSentUpToTheirWork) {
  Cluster cluster;
  cluster.join("a", 2);
  teach(cluster, "echo", 1ms);
  for (int i = 0; i < 100; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 40u) << "20 ms of work for each of two slots";
}

// As teach(), over a network: the end of each is heard so long after the run.
void teach_far(Cluster& cluster, const std::string& type, Duration run, Duration round_trip) {
  for (int i = 0; i < 20; ++i) {
    const TaskId task = cluster.submit(spec_of(type));
    cluster.pass(run + round_trip);
    cluster.finish(task, Outcome::Success, run);
  }
}

TEST(SendingAhead, ASlotDoesNotWaitForALongRoundTrip) {
  Cluster cluster;
  cluster.join("far", 2);
  teach_far(cluster, "echo", 100ms, 50ms);
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 4u)
      << "100 ms are too long for the ordinary window, and the next would come 50 ms late";
}

TEST(SendingAhead, TheWindowHoldsSomeRoundTripsOfShortTasks) {
  Cluster cluster;
  cluster.join("far", 1);
  teach_far(cluster, "echo", 1ms, 50ms);
  for (int i = 0; i < 500; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 200u) << "four times 50 ms";
}

TEST(SendingAhead, AnAttemptThatIsLongBesideTheRoundTripIsNotSentAhead) {
  Cluster cluster;
  cluster.join("far", 1);
  teach_far(cluster, "echo", 1100ms, 50ms);
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 1u);
}

TEST(SendingAhead, OneSlowStartIsNotTakenForTheRoundTrip) {
  Cluster cluster;
  cluster.join("near", 1);
  teach_far(cluster, "echo", 100ms, 1ms);
  const TaskId cold = cluster.submit(spec_of("echo"));
  cluster.pass(100ms + 150ms);
  cluster.finish(cold, Outcome::Success, 100ms);
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 1u);
}

TEST(SendingAhead, ARunThatIsLongerThanItsAttemptTeachesNoRoundTrip) {
  Cluster cluster;
  cluster.join("liar", 1);
  for (int i = 0; i < 20; ++i) {
    const TaskId task = cluster.submit(spec_of("echo"));
    cluster.pass(50ms);
    cluster.finish(task, Outcome::Success, 100ms);
  }
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 1u);
}

TEST(SendingAhead, ThereIsALimitToTheirNumber) {
  SchedulerConfig config;
  config.held_max = 50;
  Cluster cluster(config);
  cluster.join("a", 2);
  teach(cluster, "echo", 0ms);
  for (int i = 0; i < 100; ++i) cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.sent.size(), 50u);
}

TEST(SendingAhead, TheLimitHoldsForAllThatIsSentAtOnce) {
  SchedulerConfig config;
  config.held_max = 4;
  Cluster cluster(config);
  cluster.join("a", 1);
  teach(cluster, "echo", 1us);
  cluster.scheduler.pause("", cluster.now, cluster.effects);
  for (int i = 0; i < 20; ++i) cluster.submit(spec_of("echo"));
  ASSERT_TRUE(cluster.sent.empty());
  cluster.scheduler.resume("", cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_EQ(cluster.sent.size(), 4u);
}

TEST(SendingAhead, NotForReservedResourcesNorForWhatMayRunOnlyOnce) {
  Cluster cluster;
  cluster.join("a", 2);
  teach(cluster, "echo", 1ms);
  Requirements once;
  once.at_most_once = true;
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo", Priority::Normal, once));
  EXPECT_EQ(cluster.sent.size(), 2u);
  while (!cluster.sent.empty()) cluster.finish(cluster.sent.front().task, Outcome::Success, 1ms);
  Requirements reserved;
  reserved.resources = {{"cpus", 0.1}};
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo", Priority::Normal, reserved));
  EXPECT_EQ(cluster.sent.size(), 2u);
}

TEST(SendingAhead, AnUrgentTaskIsSentToADeviceThatHoldsLessUrgentOnesAhead) {
  Cluster cluster;
  cluster.join("a", 2);
  teach(cluster, "echo", 1ms);
  for (int i = 0; i < 100; ++i) cluster.submit(spec_of("echo"));
  ASSERT_EQ(cluster.sent.size(), 40u);
  const TaskId urgent = cluster.submit(spec_of("fold", Priority::Urgent));
  EXPECT_FALSE(cluster.is_sent(urgent)) << "nobody offers it";
  const TaskId urgent_echo = cluster.submit(spec_of("echo", Priority::Urgent));
  EXPECT_TRUE(cluster.is_sent(urgent_echo)) << "the device starts it next";
}

TEST(SendingAhead, WhatIsNotStartedComesBackForAnIdleDevice) {
  Cluster cluster;
  cluster.join("slow", 1);
  teach(cluster, "echo", 1ms);
  std::vector<TaskId> tasks;
  for (int i = 0; i < 20; ++i) tasks.push_back(cluster.submit(spec_of("echo")));
  ASSERT_EQ(cluster.sent.size(), 20u);
  cluster.join("idle", 1);
  EXPECT_TRUE(cluster.recalled.empty()) << "it may be done any moment";
  cluster.pass(25ms);
  ASSERT_FALSE(cluster.recalled.empty()) << "it is not as short as it was";
  EXPECT_EQ(cluster.recalled.size(), 10u) << "half of what is too much";

  const std::vector<AttemptId> back = cluster.recalled;
  std::vector<TaskId> returned;
  for (const AttemptId attempt : back) {
    const auto at =
        std::find_if(cluster.sent.begin(), cluster.sent.end(), [&](const Sent& one) { return one.attempt == attempt; });
    returned.push_back(at->task);
    cluster.sent.erase(at);
  }
  cluster.scheduler.returned(cluster.scheduler.find_device("slow"), back, cluster.now, cluster.effects);
  cluster.settle();
  const auto on_idle =
      std::count_if(cluster.sent.begin(), cluster.sent.end(), [](const Sent& one) { return one.device == "idle"; });
  EXPECT_GE(on_idle, 1);
  EXPECT_EQ(cluster.scheduler.counters().recalled, 10u);
  EXPECT_EQ(cluster.report(returned[0]).retry_count, 0u);
}

// Gives back, for the device, everything that was recalled, as a worker does that has started none of it.
std::vector<TaskId> give_back(Cluster& cluster, const std::string& device) {
  std::vector<TaskId> tasks;
  const std::vector<AttemptId> back = std::exchange(cluster.recalled, {});
  for (const AttemptId attempt : back) {
    const auto at =
        std::find_if(cluster.sent.begin(), cluster.sent.end(), [&](const Sent& one) { return one.attempt == attempt; });
    tasks.push_back(at->task);
    cluster.sent.erase(at);
  }
  cluster.scheduler.returned(cluster.scheduler.find_device(device), back, cluster.now, cluster.effects);
  cluster.settle();
  return tasks;
}

TEST(SendingAhead, ComesBackWhenAHigherPriorityNeedsTheSlot) {
  Cluster cluster;
  cluster.join("a", 1);
  teach(cluster, "echo", 1ms);
  std::vector<TaskId> low;
  for (int i = 0; i < 10; ++i) low.push_back(cluster.submit(spec_of("echo", Priority::Low)));
  ASSERT_EQ(cluster.sent.size(), 10u);
  cluster.start(low[0]);
  Requirements once;
  once.at_most_once = true;
  cluster.submit(spec_of("echo", Priority::Low, once));
  EXPECT_TRUE(cluster.recalled.empty()) << "it is no more urgent than they are";
  const TaskId urgent = cluster.submit(spec_of("echo", Priority::High, once));
  EXPECT_FALSE(cluster.is_sent(urgent)) << "what may run only once is not sent ahead";
  EXPECT_EQ(cluster.recalled.size(), 9u) << "all but the one that runs";
  cluster.submit(spec_of("echo", Priority::High, once));
  EXPECT_EQ(cluster.recalled.size(), 9u) << "once is enough";
  give_back(cluster, "a");
  EXPECT_EQ(cluster.sent.size(), 1u) << "and they do not go there again in front of it";
  cluster.finish(low[0], Outcome::Success, 1ms);
  EXPECT_TRUE(cluster.is_sent(urgent));
}

TEST(SendingAhead, OnlyWhatIsLessUrgentComesBackForAHigherPriority) {
  Cluster cluster;
  cluster.join("a", 1);
  teach(cluster, "echo", 1ms);
  cluster.start(cluster.submit(spec_of("echo", Priority::Low)));
  const TaskId high = cluster.submit(spec_of("echo", Priority::High));
  const TaskId low = cluster.submit(spec_of("echo", Priority::Low));
  ASSERT_TRUE(cluster.is_sent(high) && cluster.is_sent(low));
  Requirements once;
  once.at_most_once = true;
  cluster.submit(spec_of("echo", Priority::High, once));
  EXPECT_EQ(cluster.recalled, std::vector{cluster.find_sent(low)->attempt});
}

TEST(SendingAhead, ARecallForAHigherPriorityThatWasLostIsGivenAgain) {
  Cluster cluster;
  cluster.join("a", 1);
  teach(cluster, "echo", 1ms);
  for (int i = 0; i < 5; ++i) cluster.submit(spec_of("echo", Priority::Low));
  Requirements once;
  once.at_most_once = true;
  cluster.submit(spec_of("echo", Priority::High, once));
  ASSERT_EQ(cluster.recalled.size(), 5u) << "none was started, as far as main knows";
  cluster.recalled.clear();
  cluster.beat("a");
  cluster.submit(spec_of("echo", Priority::High, once));
  EXPECT_EQ(cluster.recalled.size(), 5u);
}

TEST(SendingAhead, OnlyAsManyDevicesMakeRoomAsThereAreUrgentTasks) {
  Cluster cluster;
  for (const char* name : {"a", "b", "c"}) {
    cluster.join(name, 1);
    teach(cluster, "echo", 1ms);
  }
  for (int i = 0; i < 6; ++i)
    cluster.finish(cluster.sent.empty() ? cluster.submit(spec_of("echo")) : cluster.sent[0].task, Outcome::Success,
                   1ms);
  for (int i = 0; i < 60; ++i) cluster.submit(spec_of("echo", Priority::Low));
  Requirements reserved;
  reserved.resources = {{"cpus", 1}};
  cluster.submit(spec_of("echo", Priority::Urgent, reserved));
  std::set<std::string> devices;
  for (const AttemptId attempt : cluster.recalled) {
    for (const Sent& one : cluster.sent) {
      if (one.attempt == attempt) devices.insert(one.device);
    }
  }
  EXPECT_EQ(devices.size(), 1u);
}

TEST(SendingAhead, ARecallThatCrossesTheStartChangesNothing) {
  Cluster cluster;
  cluster.join("slow", 1);
  teach(cluster, "echo", 1ms);
  for (int i = 0; i < 3; ++i) cluster.submit(spec_of("echo"));
  cluster.join("idle", 1);
  cluster.pass(25ms);
  ASSERT_FALSE(cluster.recalled.empty());
  cluster.scheduler.returned(cluster.scheduler.find_device("slow"), {}, cluster.now, cluster.effects);
  cluster.settle();
  const std::vector<Sent> sent = cluster.sent;
  for (const Sent& one : sent) {
    cluster.finish(one, Outcome::Success);
    EXPECT_EQ(cluster.status(one.task), TaskStatus::Success);
  }
}

TEST(SendingAhead, WorkIsSharedBetweenDevicesThatHaveRoom) {
  Cluster cluster;
  cluster.join("a", 1);
  teach(cluster, "echo", 1ms);
  cluster.join("b", 1);
  cluster.finish(cluster.submit(spec_of("echo")), Outcome::Success, 1ms);
  for (int i = 0; i < 10; ++i) cluster.submit(spec_of("echo"));
  const auto on_a =
      std::count_if(cluster.sent.begin(), cluster.sent.end(), [](const Sent& s) { return s.device == "a"; });
  EXPECT_GT(on_a, 0);
  EXPECT_LT(on_a, 10);
}

TEST(Choice, TheFasterDeviceIsPreferred) {
  Cluster cluster;
  cluster.join("slow", 1);
  teach(cluster, "echo", 10s);
  cluster.join("fast", 1);
  cluster.finish(cluster.submit(spec_of("echo")), Outcome::Success, 10s);
  // Let the fast one show it.
  const TaskId one = cluster.submit(spec_of("echo"));
  const TaskId other = cluster.submit(spec_of("echo"));
  for (const TaskId& task : {one, other}) {
    cluster.finish(task, Outcome::Success, cluster.device_with(task) == "fast" ? 1s : 10s);
  }
  for (int i = 0; i < 5; ++i) {
    const TaskId task = cluster.submit(spec_of("echo"));
    EXPECT_EQ(cluster.device_with(task), "fast");
    cluster.finish(task, Outcome::Success, 1s);
  }
}

TEST(Choice, AWarmDeviceIsPreferredAndNoneIsLeftIdle) {
  Cluster cluster;
  cluster.join("cold", 1);
  cluster.join("warm", 1);
  const TaskId a = cluster.submit(spec_of("echo"));
  const std::string warm = cluster.device_with(a);
  cluster.finish(a, Outcome::Success, 1s);
  const TaskId b = cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.device_with(b), warm);
  const TaskId c = cluster.submit(spec_of("echo"));
  EXPECT_NE(cluster.device_with(c), warm) << "affinity does not leave another device idle";
}

}  // namespace
}  // namespace retire::core::testing
