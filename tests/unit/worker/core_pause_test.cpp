#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

TEST(CorePause, MainIsToldAtOnceAndWhatIsNotBegunCanBeRecalled) {
  CoreHarness h;
  h.join();
  h.assign({1, 2, 3});
  ASSERT_EQ(h.given_attempts(), Attempts{1});
  h.pause("on battery at 41 %, below 50 %");
  ASSERT_EQ(h.heartbeats.size(), 1u);
  EXPECT_EQ(h.heartbeats[0].paused, "on battery at 41 %, below 50 %");
  EXPECT_EQ(h.heartbeats[0].held.size(), 3u);
  h.recall({1, 2, 3});
  ASSERT_EQ(h.returned.size(), 1u);
  EXPECT_EQ(h.returned[0].attempts.attempts, (std::vector{AttemptId(2), AttemptId(3)}));
  h.answer(h.given[0]);  // what runs ends as ever
  EXPECT_EQ(h.told_attempts(), Attempts{1});
  EXPECT_EQ(h.told[0].outcome, Outcome::Success);
}

TEST(CorePause, NothingIsBegunUntilItIsOver) {
  CoreHarness h;
  h.join();
  h.assign({1, 2});
  h.pause("hot");
  h.answer(h.given[0]);
  EXPECT_EQ(h.given_attempts(), Attempts{1});
  h.pause("");
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
  ASSERT_EQ(h.heartbeats.size(), 2u);
  EXPECT_EQ(h.heartbeats[1].paused, "");
}

TEST(CorePause, WhatAHostHasNotBegunIsTakenBack) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2, 3});
  ASSERT_EQ(h.given_attempts(), (Attempts{1, 2, 3}));
  h.pause("hot");
  ASSERT_EQ(h.count(Order::Kind::TakeBack), 1);
  h.taken_back(0, h.given[0].sequence, h.now);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3})) << "and not handed out again";
  h.recall({1, 2, 3});
  EXPECT_EQ(h.returned[0].attempts.attempts, (std::vector{AttemptId(2), AttemptId(3)}));
}

TEST(CorePause, WhatComesMeanwhileIsHandedBackBeforeTheHeartbeatThatHasSeenIt) {
  CoreHarness h;
  h.join();
  h.pause("hot");
  h.heartbeats.clear();
  h.assign({1});
  ASSERT_EQ(h.told_attempts(), Attempts{1});
  EXPECT_EQ(h.told[0].outcome, Outcome::HandedBack);
  EXPECT_TRUE(h.given.empty());
}

TEST(CorePause, OtherWordsForItWaitForTheNextHeartbeat) {
  CoreHarness h;
  h.join();
  h.pause("on battery at 41 %");
  h.heartbeats.clear();
  h.pause("on battery at 40 %");
  EXPECT_TRUE(h.heartbeats.empty());
  h.advance(5s);
  ASSERT_FALSE(h.heartbeats.empty());
  EXPECT_EQ(h.heartbeats.back().paused, "on battery at 40 %");
}

TEST(CorePause, AHelloSaysIt) {
  CoreHarness h;
  h.pause("outside its work hours");
  h.join();
  EXPECT_EQ(h.hellos.back().paused, "outside its work hours");
  h.assign({1});
  EXPECT_TRUE(h.given.empty());
}

TEST(CorePause, WhatReturnsFromADeadHostWaits) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2});
  h.pause("hot");
  h.lost(0, h.given[0].sequence);
  EXPECT_EQ(h.told_attempts(), Attempts{1});
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
  h.pause("");
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 2}));
}

TEST(CorePause, ADeviceThatIsPausedLeavesLikeAnyOther) {
  CoreHarness h;
  h.join();
  h.assign({1, 2});
  h.pause("hot");
  h.drain();
  EXPECT_EQ(h.told_attempts(), Attempts{2});
  h.answer(h.given[0]);
  h.ack_all();
  EXPECT_TRUE(h.done);
}

// The heartbeat says what was seen and what is held. An attempt that was handed back is not held, so its result has to
// leave first; or main takes it for lost on the way, which ends a task that may be sent only once.
TEST(CoreHeartbeat, LeavesAfterTheResultsOfItsTurn) {
  Core core(CoreHarness::with({}, 1));
  Effects out;
  TimePoint now{100s};
  core.on_socket_opened(now, out);
  Welcome welcome;
  welcome.heartbeat = 5s;
  welcome.offline_after = 15s;
  core.on_welcome(welcome, now, out);
  out.clear();
  now += 5s;
  Assign message;
  message.specs = {{"unheard_of", 5s, Priority::Normal, true}};
  message.tasks = {{TaskId(1, 1), AttemptId(1), 0, "p", 1}};
  core.on_assign(1, message, nullptr, 10, now, out);
  ASSERT_EQ(out.finished.size(), 1u);
  core.on_time(now, out);
  EXPECT_FALSE(out.heartbeat) << "the result is still in the open batch";
  core.end_turn(now, out);
  EXPECT_EQ(out.send.size(), 1u);
  ASSERT_TRUE(out.heartbeat);
  EXPECT_EQ(out.heartbeat->seen, 1u);
  EXPECT_TRUE(out.heartbeat->held.empty());
}

}  // namespace
}  // namespace retire::worker
