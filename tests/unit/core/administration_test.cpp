// Pausing, draining, removing, retrying by command; ageing; devices that fail what others complete.
#include "tests/unit/core/cluster.hpp"

namespace retire::core::testing {
namespace {

Requirements no_retries() {
  Requirements out;
  out.max_retries = 0;
  return out;
}

TEST(Pause, OfTheQueueHoldsEverythingAndTakesBackWhatIsNotStarted) {
  Cluster cluster;
  cluster.join("a", 2);
  const TaskId running = cluster.submit(spec_of("echo"));
  const TaskId held = cluster.submit(spec_of("echo"));
  cluster.start(running);
  cluster.scheduler.pause("", cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_EQ(cluster.recalled, std::vector{cluster.find_sent(held)->attempt});
  const TaskId later = cluster.submit(spec_of("echo"));
  cluster.finish(running);
  EXPECT_FALSE(cluster.is_sent(later));
  EXPECT_EQ(cluster.reason(later), "paused");
  cluster.scheduler.resume("", cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_TRUE(cluster.is_sent(later));
}

TEST(Pause, LeavesNoDeadlineBehindThatIsAlwaysDue) {  // main would spin
  Cluster cluster;
  cluster.join("slow", 1);
  for (int i = 0; i < 20; ++i) cluster.finish(cluster.submit(spec_of("echo")), Outcome::Success, 1ms);
  for (int i = 0; i < 5; ++i) cluster.submit(spec_of("echo"));
  cluster.join("idle", 1);
  cluster.scheduler.pause("", cluster.now, cluster.effects);
  cluster.pass_alive(1s);
  EXPECT_GT(cluster.scheduler.next_deadline().value_or(TimePoint::max()), cluster.now.monotonic);
}

TEST(Pause, OfATypeLeavesTheOthersAlone) {
  Cluster cluster;
  cluster.scheduler.pause("echo", cluster.now, cluster.effects);
  cluster.join("a", 1, {"echo", "fold"});
  const TaskId echo = cluster.submit(spec_of("echo", Priority::Urgent));
  const TaskId fold = cluster.submit(spec_of("fold"));
  EXPECT_FALSE(cluster.is_sent(echo));
  EXPECT_EQ(cluster.reason(echo), "paused");
  EXPECT_TRUE(cluster.is_sent(fold));
  cluster.finish(fold, Outcome::Success, 10s);
  cluster.scheduler.resume("echo", cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_TRUE(cluster.is_sent(echo));
}

// Devices are known again with the history, when they may be back at work.
TEST(Drain, ByAnAdministratorOutlivesARestartAfterWhichTheDeviceIsBackBeforeItsRecord) {
  Cluster cluster;
  cluster.scheduler.begin_restore();
  cluster.scheduler.queue_restored(cluster.now);
  const DeviceIndex device = cluster.join("a", 2);
  const TaskId running = cluster.submit(spec_of("echo"));
  const TaskId held = cluster.submit(spec_of("echo"));
  cluster.start(running);
  cluster.scheduler.restore_device(Cluster::device_of("a", 2), true, cluster.now.wall, cluster.now, cluster.effects);
  EXPECT_EQ(cluster.effects.devices, std::vector{device}) << "the record of this run says that it is not drained";
  cluster.settle();
  cluster.scheduler.end_restore(cluster.now);
  EXPECT_EQ(cluster.recalled, std::vector{cluster.find_sent(held)->attempt});
  EXPECT_FALSE(cluster.is_sent(cluster.submit(spec_of("echo"))));
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "draining");
}

TEST(Drain, WhatAnAdministratorSaidInThisRunIsNotUndoneByARecordOfAnEarlierOne) {
  for (const bool drained : {false, true}) {
    Cluster cluster;
    cluster.scheduler.begin_restore();
    cluster.scheduler.queue_restored(cluster.now);
    const DeviceIndex device = cluster.join("a");
    if (drained) {
      cluster.scheduler.drain_device(device, cluster.now, cluster.effects);
    } else {
      cluster.scheduler.resume_device(device, cluster.now, cluster.effects);
    }
    cluster.settle();
    cluster.scheduler.restore_device(Cluster::device_of("a"), !drained, cluster.now.wall, cluster.now, cluster.effects);
    cluster.settle();
    cluster.scheduler.end_restore(cluster.now);
    EXPECT_EQ(cluster.is_sent(cluster.submit(spec_of("echo"))), !drained);
  }
}

TEST(Drain, ByAnAdministratorOutlivesANewHello) {
  Cluster cluster;
  const DeviceIndex device = cluster.join("a");
  cluster.scheduler.drain_device(device, cluster.now, cluster.effects);
  cluster.settle();
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  EXPECT_FALSE(cluster.is_sent(task));
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "draining");
  cluster.scheduler.resume_device(device, cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_TRUE(cluster.is_sent(task));
}

TEST(Remove, OnlyADeviceThatIsAway) {
  Cluster cluster;
  const DeviceIndex device = cluster.join("a");
  const TaskId done = cluster.submit(spec_of("echo"));
  cluster.finish(done);
  EXPECT_FALSE(cluster.scheduler.remove_device(device, cluster.now, cluster.effects).ok());
  cluster.scheduler.left(device, cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_TRUE(cluster.scheduler.remove_device(device, cluster.now, cluster.effects).ok());
  EXPECT_EQ(cluster.effects.removed, std::vector{device}) << "its session must end, its place is no device any more";
  cluster.settle();
  EXPECT_TRUE(cluster.scheduler.device_reports("").empty());
  EXPECT_EQ(cluster.report(done).device_id, "a") << "finished tasks still name it";
  const DeviceIndex again = cluster.join("a");
  EXPECT_NE(again, device);
  EXPECT_EQ(cluster.scheduler.statistics(cluster.now).by_device.count("a"), 0u) << "a new device of that name";
}

TEST(Remove, DevicesThatAreAwayForGoodAreForgottenBeyondALimit) {
  SchedulerConfig config;
  config.offline_devices_max = 2;
  Cluster cluster(config);
  for (int i = 0; i < 6; ++i) {
    cluster.scheduler.left(cluster.join("d" + std::to_string(i)), cluster.now, cluster.effects);
    cluster.pass(1s);
  }
  const auto reports = cluster.scheduler.device_reports("");
  EXPECT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports.back().capabilities->device_id, "d5");
}

TEST(Retry, ByCommandBringsAFailedTaskBackUnderItsId) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo", Priority::Normal, no_retries()));
  cluster.finish(task, Outcome::Failed, 1s, "boom");
  EXPECT_EQ(cluster.status(task), TaskStatus::Failed);
  EXPECT_EQ(cluster.scheduler.retry(task, cluster.now, cluster.effects), true);
  cluster.settle();
  ASSERT_TRUE(cluster.is_sent(task));
  EXPECT_EQ(cluster.report(task).error_history->at(0).message, "boom");
  cluster.finish(task);
  EXPECT_EQ(cluster.status(task), TaskStatus::Success);
  EXPECT_EQ(cluster.scheduler.retry(task, cluster.now, cluster.effects), false) << "it succeeded";
  EXPECT_FALSE(cluster.scheduler.retry(TaskId(9, 9), cluster.now, cluster.effects).has_value());
}

TEST(Retry, ByCommandGivesAllRetriesAgain) {
  Requirements once_more;
  once_more.max_retries = 1;
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo", Priority::Normal, once_more));
  const auto fail = [&] {
    cluster.pass_alive(10s);
    ASSERT_TRUE(cluster.is_sent(task));
    cluster.finish(task, Outcome::Failed);
  };
  for (int round = 0; round < 3; ++round) {
    fail();
    EXPECT_EQ(cluster.status(task), TaskStatus::Queued) << "round " << round;
    fail();
    EXPECT_EQ(cluster.status(task), TaskStatus::Failed) << "round " << round;
    EXPECT_EQ(cluster.scheduler.retry(task, cluster.now, cluster.effects), true);
    cluster.settle();
  }
}

TEST(Retry, ATaskThatEndedTwiceIsForgottenByItsSecondEnd) {
  SchedulerConfig config;
  config.history_age_max = 10s;
  Cluster cluster(config);
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo", Priority::Normal, no_retries()));
  cluster.finish(task, Outcome::Failed);
  cluster.pass_alive(6s);
  cluster.scheduler.retry(task, cluster.now, cluster.effects);
  cluster.settle();
  cluster.finish(task);
  cluster.pass_alive(6s);
  EXPECT_TRUE(cluster.scheduler.find(task)) << "12 s after its first end, 6 s after its second";
  cluster.pass_alive(5s);
  EXPECT_FALSE(cluster.scheduler.find(task));
}

TEST(Retry, PrefersAnotherDeviceForAWhile) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.join("b");
  const TaskId other = cluster.submit(spec_of("echo"));
  ASSERT_EQ(cluster.device_with(task), "a");
  ASSERT_EQ(cluster.device_with(other), "b");
  cluster.finish(task, Outcome::Failed);
  cluster.pass_alive(1s);
  EXPECT_FALSE(cluster.is_sent(task)) << "a is free, but it failed there, and b could run it";
  const TaskId next = cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.device_with(next), "a") << "it holds up nobody";
  cluster.finish(other, Outcome::Success, 10s);
  EXPECT_EQ(cluster.device_with(task), "b");
}

TEST(Retry, GoesToTheSameDeviceWhenNoOtherComesInTime) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.join("b");
  cluster.submit(spec_of("echo"));
  cluster.finish(task, Outcome::Failed);
  cluster.pass_alive(1s);
  EXPECT_FALSE(cluster.is_sent(task));
  cluster.pass_alive(5s);
  EXPECT_EQ(cluster.device_with(task), "a");
}

TEST(Retry, GoesToTheSameDeviceWhenThereIsNoOther) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.finish(task, Outcome::Failed);
  cluster.pass_alive(1s);
  EXPECT_EQ(cluster.device_with(task), "a");
}

TEST(Ageing, IsOffByDefault) {
  Cluster cluster;
  const TaskId low = cluster.submit(spec_of("echo", Priority::Low));
  cluster.pass(4s);
  cluster.submit(spec_of("echo", Priority::High));
  cluster.join("a");
  EXPECT_FALSE(cluster.is_sent(low));
}

TEST(Ageing, ATaskThatWaitedLongEnoughPassesAHigherPriority) {
  SchedulerConfig config;
  config.age_after = 10s;
  Cluster cluster(config);
  const TaskId low = cluster.submit(spec_of("echo", Priority::Low));
  cluster.pass(4s);
  cluster.pass(4s);
  cluster.pass(4s);
  const TaskId normal = cluster.submit(spec_of("echo", Priority::Normal));
  const TaskId high = cluster.submit(spec_of("echo", Priority::High));
  cluster.join("a");
  EXPECT_TRUE(cluster.is_sent(high)) << "low counts as normal by now";
  cluster.finish(high, Outcome::Success, 10s);
  EXPECT_TRUE(cluster.is_sent(low)) << "it counts as much as normal, and is older";
  cluster.finish(low, Outcome::Success, 10s);
  EXPECT_TRUE(cluster.is_sent(normal));
}

// A cluster in which `bad` fails everything and the others nothing.
struct BlackHole {
  Cluster cluster;
  int failures = 0;
  explicit BlackHole(int sound_devices) {
    cluster.join("bad");
    for (int i = 0; i < sound_devices; ++i) cluster.join("sound" + std::to_string(i));
  }
  void run(int tasks) {
    for (int i = 0; i < tasks; ++i) cluster.submit(spec_of("echo"));
    while (!cluster.sent.empty()) {
      const Sent one = cluster.sent.front();
      cluster.sent.erase(cluster.sent.begin());
      const bool fails = one.device == "bad";
      failures += fails ? 1 : 0;
      cluster.finish(one, fails ? Outcome::Failed : Outcome::Success, 1s);
      cluster.pass_alive(100ms);
    }
  }
};

TEST(Quarantine, ADeviceThatFailsWhatOthersCompleteIsLeftOutForAWhile) {
  BlackHole hole(2);
  hole.run(50);
  EXPECT_EQ(hole.failures, 5);
  const auto report = hole.cluster.scheduler.device_reports("bad")[0];
  EXPECT_EQ(report.state, "quarantined");
  EXPECT_FALSE(report.state_reason.empty());
  EXPECT_EQ(hole.cluster.scheduler.counters().quarantined, 1u);
  hole.cluster.pass_alive(60s);
  EXPECT_EQ(hole.cluster.scheduler.device_reports("bad")[0].state, "online");

  hole.run(50);
  EXPECT_EQ(hole.failures, 7) << "on probation it is believed less";
  EXPECT_EQ(hole.cluster.scheduler.device_reports("bad")[0].state, "quarantined");
  hole.cluster.pass_alive(61s);
  EXPECT_EQ(hole.cluster.scheduler.device_reports("bad")[0].state, "quarantined") << "twice as long";
  hole.cluster.pass_alive(60s);
  EXPECT_EQ(hole.cluster.scheduler.device_reports("bad")[0].state, "online");
}

TEST(Quarantine, IsReleasedByAnAdministrator) {
  BlackHole hole(1);
  hole.run(30);
  Cluster& cluster = hole.cluster;
  ASSERT_EQ(cluster.scheduler.device_reports("bad")[0].state, "quarantined");
  cluster.scheduler.resume_device(cluster.scheduler.find_device("bad"), cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_EQ(cluster.scheduler.device_reports("bad")[0].state, "online");
}

TEST(Quarantine, NotWhenEverybodyFails) {
  Cluster cluster;
  cluster.join("a");
  cluster.join("b");
  for (int i = 0; i < 20; ++i) cluster.submit(spec_of("echo", Priority::Normal, no_retries()));
  while (!cluster.sent.empty()) cluster.finish(cluster.sent.front().task, Outcome::Failed);
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "online");
  EXPECT_EQ(cluster.scheduler.device_reports("b")[0].state, "online");
}

TEST(Quarantine, NotForPayloadsThatMakeNoSense) {
  Cluster cluster;
  cluster.join("a");
  cluster.join("b");
  for (int i = 0; i < 40; ++i) cluster.submit(spec_of("echo"));
  while (!cluster.sent.empty()) {
    const Sent one = cluster.sent.front();
    cluster.sent.erase(cluster.sent.begin());
    cluster.finish(one, one.device == "a" ? Outcome::FailedPermanently : Outcome::Success);
  }
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "online");
}

}  // namespace
}  // namespace retire::core::testing
