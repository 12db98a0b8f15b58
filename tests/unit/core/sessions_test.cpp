// Devices that fall silent, come back, leave and are replaced.
#include "tests/unit/core/cluster.hpp"

namespace retire::core::testing {
namespace {

TEST(Sessions, ASilentDeviceGetsNothingNewAndThenLosesWhatItHas) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.pass(4s);
  cluster.pass(4s);
  cluster.pass(4s);
  cluster.pass(4s);  // 16 s
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "offline");
  EXPECT_EQ(cluster.status(task), TaskStatus::Assigned) << "its lease is not over";
  cluster.join("b");
  EXPECT_EQ(cluster.device_with(task), "a");
  for (int i = 0; i < 4; ++i) {
    cluster.pass(2s);
    cluster.beat("b");
    cluster.pass(2s);
  }
  EXPECT_EQ(cluster.lost, std::vector<std::string>{"a"});
  ASSERT_EQ(cluster.sent.size(), 2u);
  EXPECT_EQ(cluster.sent[1].task, task);
  EXPECT_EQ(cluster.sent[1].device, "b");
  EXPECT_EQ(cluster.report(task).retry_count, 0u) << "a lost device does not use up retries";
  ASSERT_EQ(cluster.report(task).error_history->size(), 1u);
  EXPECT_TRUE(cluster.report(task).error_history->at(0).lost);

  // Its late result is refused, the other's counts.
  cluster.finish(cluster.sent[0], Outcome::Success);
  EXPECT_EQ(cluster.status(task), TaskStatus::Assigned);
  cluster.finish(cluster.sent[1], Outcome::Success);
  EXPECT_EQ(cluster.status(task), TaskStatus::Success);
  EXPECT_EQ(cluster.report(task).device_id, "b");
}

TEST(Sessions, AShortSilenceRepeatsNothing) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  for (int i = 0; i < 5; ++i) cluster.pass(4s);
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "offline");
  cluster.join(Cluster::device_of("a"), {cluster.sent[0].attempt});
  EXPECT_TRUE(cluster.abandoned.empty());
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "online");
  cluster.finish(task);
  EXPECT_EQ(cluster.status(task), TaskStatus::Success);
  EXPECT_EQ(cluster.scheduler.counters().scheduled, 1u);
}

TEST(Sessions, WhatAReturningDeviceDoesNotHoldIsQueuedAtOnce) {
  Cluster cluster;
  cluster.join("a", 2);
  const TaskId kept = cluster.submit(spec_of("echo"));
  const TaskId gone = cluster.submit(spec_of("echo"));
  const AttemptId old = cluster.find_sent(gone)->attempt;
  cluster.join(Cluster::device_of("a", 2), {cluster.find_sent(kept)->attempt, AttemptId(999)});
  EXPECT_EQ(cluster.abandoned, std::vector{AttemptId(999)});
  ASSERT_EQ(cluster.sent.size(), 3u);
  EXPECT_EQ(cluster.sent[2].task, gone);
  EXPECT_NE(cluster.sent[2].attempt, old);
  EXPECT_EQ(cluster.status(kept), TaskStatus::Assigned);
}

TEST(Sessions, AnAttemptThatMainHasGivenUpIsAbandoned) {
  Cluster cluster;
  cluster.join("a");
  cluster.submit(spec_of("echo"));
  const AttemptId attempt = cluster.sent[0].attempt;
  for (int i = 0; i < 9; ++i) cluster.pass(4s);
  ASSERT_EQ(cluster.lost.size(), 1u);
  cluster.join(Cluster::device_of("a"), {attempt});
  EXPECT_EQ(cluster.abandoned, std::vector{attempt});
}

// The device goes on running it until it hears that it should not: what it had reserved is still taken.
TEST(Sessions, NothingIsReservedOnADeviceUntilWhatItAbandonsHasEnded) {
  for (const bool finishes : {false, true}) {
    SCOPED_TRACE(finishes);
    Cluster cluster;
    Capabilities device = Cluster::device_of("a", 2);
    device.resources = {{"licence", 1}};
    cluster.join(device);
    Requirements licence;
    licence.resources = {{"licence", 1}};
    const TaskId task = cluster.submit(spec_of("echo", Priority::Normal, licence));
    const Sent first = cluster.take(task);
    for (int i = 0; i < 9; ++i) cluster.pass(4s);
    ASSERT_EQ(cluster.lost.size(), 1u);
    cluster.join(device, {first.attempt});
    EXPECT_EQ(cluster.abandoned, std::vector{first.attempt});
    EXPECT_FALSE(cluster.is_sent(task)) << "two would hold the one licence";
    EXPECT_EQ(cluster.scheduler.explain(cluster.scheduler.find(task)).devices[0].verdict, "busy");
    EXPECT_TRUE(cluster.is_sent(cluster.submit(spec_of("echo")))) << "what reserves nothing need not wait";
    if (finishes) {
      cluster.finish(first, Outcome::Cancelled);
    } else {
      Heartbeat heartbeat;
      heartbeat.from_worker = true;
      heartbeat.held = {first.attempt};
      cluster.scheduler.heartbeat(cluster.scheduler.find_device("a"), heartbeat, cluster.now, cluster.effects);
      cluster.settle();
      EXPECT_FALSE(cluster.is_sent(task));
      cluster.beat("a");
      cluster.settle();
    }
    EXPECT_TRUE(cluster.is_sent(task));
  }
}

TEST(Sessions, AnAttemptOfAnotherDeviceIsAbandoned) {
  Cluster cluster;
  cluster.join("a");
  cluster.submit(spec_of("echo"));
  cluster.join(Cluster::device_of("b"), {cluster.sent[0].attempt});
  EXPECT_EQ(cluster.abandoned.size(), 1u);
}

TEST(Sessions, WhatIsCancelledWhileAwayIsStoppedOnReturn) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.cancel(task);
  cluster.stopped.clear();
  cluster.join(Cluster::device_of("a"), {cluster.sent[0].attempt});
  EXPECT_EQ(cluster.stopped, std::vector{cluster.sent[0].attempt});
}

TEST(Sessions, AnAssignmentLostOnTheWayIsSentAgain) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  const Sent lost = cluster.take(task);
  Heartbeat before;
  before.from_worker = true;
  before.seen = 0;
  cluster.scheduler.heartbeat(cluster.scheduler.find_device("a"), before, cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_FALSE(cluster.is_sent(task)) << "it may still be on its way";
  Heartbeat after = before;
  after.seen = 1;
  cluster.scheduler.heartbeat(cluster.scheduler.find_device("a"), after, cluster.now, cluster.effects);
  cluster.settle();
  ASSERT_TRUE(cluster.is_sent(task));
  EXPECT_NE(cluster.find_sent(task)->attempt, lost.attempt);
}

// A hello that is repeated on the way begins no session of the worker's, which goes on counting.
TEST(Sessions, AfterASecondHelloNoNewAssignmentIsTakenForOneThatWasSeen) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.scheduler.close_assign(cluster.scheduler.find_device("a"));
  cluster.sent.clear();
  cluster.join("a");
  Heartbeat heartbeat;
  heartbeat.from_worker = true;
  heartbeat.seen = 1;
  ASSERT_EQ(cluster.sent.size(), 1u) << "it lives and does not hold it";
  cluster.scheduler.heartbeat(cluster.scheduler.find_device("a"), heartbeat, cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_TRUE(cluster.is_sent(task));
  EXPECT_EQ(cluster.sent.size(), 1u) << "two would run";
}

TEST(Sessions, AnAssignmentThatIsOnTheWayForTooLongIsSentAgain) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.sent.clear();
  for (int i = 0; i < 20; ++i) {
    Heartbeat heartbeat;
    heartbeat.from_worker = true;
    cluster.scheduler.heartbeat(cluster.scheduler.find_device("a"), heartbeat, cluster.now, cluster.effects);
    cluster.pass(1s);
  }
  EXPECT_TRUE(cluster.is_sent(task));
}

TEST(Sessions, ADeviceThatLeavesHandsBackItsTasks) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.sent.clear();
  cluster.scheduler.left(cluster.scheduler.find_device("a"), cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_EQ(cluster.status(task), TaskStatus::Queued);
  EXPECT_EQ(cluster.reason(task), "devices_offline");
  cluster.join("b");
  EXPECT_EQ(cluster.device_with(task), "b");
}

TEST(Sessions, ADrainingDeviceGetsNothingAndWhatItHasNotStartedIsRecalled) {
  Cluster cluster;
  cluster.join("a", 2);
  const TaskId running = cluster.submit(spec_of("echo"));
  const TaskId waiting = cluster.submit(spec_of("echo"));
  cluster.start(running);
  cluster.scheduler.drain(cluster.scheduler.find_device("a"), cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_EQ(cluster.recalled, std::vector{cluster.find_sent(waiting)->attempt});
  const TaskId later = cluster.submit(spec_of("echo"));
  EXPECT_FALSE(cluster.is_sent(later));
  EXPECT_EQ(cluster.reason(later), "devices_draining");
}

TEST(Sessions, APausedDeviceGetsNothingUntilItSaysOtherwiseAndWhatItHasNotStartedIsRecalled) {
  Cluster cluster;
  cluster.join("a", 2);
  const TaskId running = cluster.submit(spec_of("echo"));
  const TaskId waiting = cluster.submit(spec_of("echo"));
  cluster.start(running);
  cluster.beat("a", "on battery at 41 %, below 50 %");
  cluster.settle();
  EXPECT_EQ(cluster.recalled, std::vector{cluster.find_sent(waiting)->attempt});
  const DeviceReport report = cluster.scheduler.device_reports("a")[0];
  EXPECT_EQ(report.state, "paused");
  EXPECT_EQ(report.state_reason, "on battery at 41 %, below 50 %");
  EXPECT_TRUE(report.connected);
  cluster.scheduler.returned(cluster.scheduler.find_device("a"), std::vector{cluster.take(waiting).attempt},
                             cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_FALSE(cluster.is_sent(waiting)) << "it does not go back to where it came from";
  EXPECT_EQ(cluster.reason(waiting), "devices_paused");
  cluster.finish(running);  // what runs may end there
  EXPECT_EQ(cluster.status(running), TaskStatus::Success);
  EXPECT_FALSE(cluster.is_sent(waiting));
  cluster.beat("a");
  cluster.settle();
  EXPECT_TRUE(cluster.is_sent(waiting));
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "online");
}

TEST(Sessions, APausedDeviceIsAskedAgainForWhatItHasNotStarted) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  for (int i = 0; i < 3; ++i) {  // a recall may be lost on the way
    cluster.beat("a", "hot");
    cluster.settle();
  }
  EXPECT_EQ(cluster.recalled.size(), 3u);
  cluster.start(task);
  cluster.beat("a", "hot");
  cluster.settle();
  EXPECT_EQ(cluster.recalled.size(), 3u) << "it has begun: it may end";
}

TEST(Sessions, WhatAPausedDeviceHasNotStartedGoesToAnother) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.join("b");
  cluster.beat("a", "hot");
  cluster.settle();
  const Sent one = cluster.take(task);
  cluster.scheduler.returned(cluster.scheduler.find_device("a"), std::vector{one.attempt}, cluster.now,
                             cluster.effects);
  cluster.settle();
  EXPECT_EQ(cluster.device_with(task), "b");
}

TEST(Sessions, APauseIsForgottenByANewHelloThatDoesNotSayIt) {
  Cluster cluster;
  const DeviceIndex device = cluster.join("a");
  cluster.scheduler.set_pause(device, "outside its work hours", cluster.now, cluster.effects);
  cluster.settle();
  const TaskId task = cluster.submit(spec_of("echo"));
  EXPECT_FALSE(cluster.is_sent(task));
  cluster.join("a");
  cluster.scheduler.set_pause(device, "", cluster.now, cluster.effects);  // as the broker does after each hello
  cluster.settle();
  EXPECT_TRUE(cluster.is_sent(task));
}

TEST(Sessions, OneDeviceThatIsPausedAndOneThatDrainsAreNotCalledPaused) {
  Cluster cluster;
  cluster.join("a");
  const DeviceIndex b = cluster.join("b");
  cluster.beat("a", "hot");
  cluster.scheduler.drain_device(b, cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_EQ(cluster.reason(cluster.submit(spec_of("echo"))), "devices_draining");
}

TEST(Sessions, NewCapabilitiesCountAtOnce) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("fold"));
  EXPECT_EQ(cluster.reason(task), "no_handler");
  cluster.scheduler.update(cluster.scheduler.find_device("a"), Cluster::device_of("a", 1, {"echo", "fold"}),
                           cluster.now, cluster.effects);
  cluster.settle();
  EXPECT_TRUE(cluster.is_sent(task));
}

TEST(Sessions, ATaskThatTakesItsDevicesDownIsSetAside) {
  Cluster cluster;
  const TaskId task = cluster.submit(spec_of("echo"));
  for (const char* name : {"a", "b", "c"}) {
    cluster.join(name);
    ASSERT_TRUE(cluster.is_sent(task));
    cluster.take(task);
    for (int i = 0; i < 9; ++i) cluster.pass(4s);
  }
  EXPECT_EQ(cluster.status(task), TaskStatus::Failed);
  EXPECT_EQ(cluster.reason(task), "poison");
  EXPECT_EQ(cluster.report(task).error_message,
            "set aside: its devices were lost while they ran it (a, b, c); task retry brings it back");
  EXPECT_EQ(cluster.scheduler.counters().poisoned, 1u);
}

TEST(Sessions, PoisonNamesTheSignalsOfThoseThatLivedToTell) {
  SchedulerConfig config;
  config.lost_max = 2;
  Cluster cluster(config);
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.finish(task, Outcome::Crashed, 1s, "the handler died: signal 11 (SIGSEGV)\nlast lines of output");
  cluster.pass_alive(1s);
  for (const char* next : {"b", "c"}) {
    for (int i = 0; i < 9; ++i) cluster.pass(4s);
    if (cluster.status(task) != TaskStatus::Failed) cluster.join(next);
  }
  EXPECT_EQ(cluster.reason(task), "poison");
  EXPECT_EQ(
      cluster.report(task).error_message,
      "set aside: its devices were lost while they ran it (a, b); its process died (a: the handler died: signal 11 "
      "(SIGSEGV)); task retry brings it back");
  EXPECT_EQ(cluster.report(task).retry_count, 0u) << "one retry was used, but its end is not a failure of its own";
}

TEST(Sessions, WhatWasOnlyHeldByALostDeviceIsNotBlamed) {
  Cluster cluster;
  cluster.join("a", 1);
  for (int i = 0; i < 20; ++i) cluster.finish(cluster.submit(spec_of("echo")), Outcome::Success, 1ms);
  std::vector<TaskId> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(cluster.submit(spec_of("echo")));
  for (int i = 0; i < 9; ++i) cluster.pass(4s);
  ASSERT_EQ(cluster.report(tasks[0]).error_history->size(), 1u);
  EXPECT_EQ(cluster.report(tasks[4]).error_history, nullptr);
}

TEST(Sessions, ASecondSilenceIsNoticedAsSoonAsTheFirst) {
  SchedulerConfig config;
  config.lease = 60s;
  Cluster cluster(config);
  cluster.join("a");
  for (int i = 0; i < 4; ++i) cluster.pass(4s);
  ASSERT_EQ(cluster.scheduler.device_reports("a")[0].state, "offline");
  cluster.beat("a");
  cluster.settle();
  ASSERT_EQ(cluster.scheduler.device_reports("a")[0].state, "online");
  for (int i = 0; i < 4; ++i) cluster.pass(4s);
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "offline");
}

TEST(Sessions, AConnectionThatIsKnownToBeGoneGetsNothingAndKeepsItsLease) {
  Cluster cluster;
  cluster.join("a", 2);
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.scheduler.disconnected(cluster.scheduler.find_device("a"));
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "offline");
  const TaskId next = cluster.submit(spec_of("echo"));
  EXPECT_FALSE(cluster.is_sent(next));
  EXPECT_EQ(cluster.reason(next), "devices_offline");
  for (int i = 0; i < 7; ++i) cluster.pass(4s);
  EXPECT_EQ(cluster.status(task), TaskStatus::Assigned) << "28 s of 30";
  cluster.pass(3s);
  EXPECT_EQ(cluster.status(task), TaskStatus::Queued);
}

TEST(Sessions, ALiveProcessThatDoesNotHoldATaskHasNotBeenTakenDownByIt) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  for (int i = 0; i < 5; ++i) cluster.join("a");
  EXPECT_EQ(cluster.status(task), TaskStatus::Assigned) << "it is not set aside";
  EXPECT_EQ(cluster.report(task).error_history, nullptr);
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].attempts_lost, 0u);
}

TEST(Sessions, MainThatStoodStillBlamesNobody) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.pass(1s);
  cluster.pass(120s);
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "online");
  cluster.finish(task);
  EXPECT_EQ(cluster.status(task), TaskStatus::Success);
}

TEST(Sessions, MainThatStoodStillDoesNotEndTheLeaseOfADeviceThatWasAway) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.scheduler.disconnected(cluster.scheduler.find_device("a"));
  for (int i = 0; i < 3; ++i) cluster.pass(4s);
  cluster.pass(120s);
  EXPECT_EQ(cluster.status(task), TaskStatus::Assigned) << "12 s of its lease of 30 are over";
  EXPECT_EQ(cluster.scheduler.device_reports("a")[0].state, "offline");
  for (int i = 0; i < 4; ++i) cluster.pass(4s);
  EXPECT_EQ(cluster.status(task), TaskStatus::Assigned) << "28 s";
  cluster.pass(3s);
  EXPECT_EQ(cluster.status(task), TaskStatus::Queued) << "31 s";
  EXPECT_EQ(cluster.scheduler.counters().leases_expired, 1u);
}

}  // namespace
}  // namespace retire::core::testing
