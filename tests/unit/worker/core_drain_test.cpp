#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

TEST(CoreDrain, WithNothingToDoItLeavesAtOnce) {
  CoreHarness h;
  h.join();
  h.drain();
  EXPECT_EQ(h.goodbyes, 1);
  EXPECT_TRUE(h.done);
}

TEST(CoreDrain, WithoutMainItLeavesWithoutAGoodbye) {
  CoreHarness h;
  h.turn();
  h.drain();
  EXPECT_TRUE(h.done);
  EXPECT_EQ(h.goodbyes, 0);
}

TEST(CoreDrain, FinishesWhatRunsAndHandsBackTheRest) {
  CoreHarness h;
  h.join();
  h.assign({1, 2, 3});
  h.drain();
  EXPECT_EQ(h.drains, 1);
  EXPECT_EQ(h.told_attempts(), (Attempts{2, 3}));
  for (const Told& one : h.told) EXPECT_EQ(one.outcome, Outcome::HandedBack);
  EXPECT_FALSE(h.done);
  h.advance(10s);
  h.heartbeat_from_main();
  h.answer(h.given[0]);
  EXPECT_FALSE(h.done);  // not before main has it
  h.ack_all();
  EXPECT_TRUE(h.done);
  EXPECT_EQ(h.goodbyes, 1);
}

TEST(CoreDrain, NewWorkIsHandedBack) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.drain();
  h.assign({2});
  EXPECT_EQ(h.told_attempts(), Attempts{2});
  EXPECT_EQ(h.told[0].outcome, Outcome::HandedBack);
}

TEST(CoreDrain, WhatIsHandedButNotBegunGoesToOthers) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2, 3});
  h.drain();
  ASSERT_EQ(h.count(Order::Kind::TakeBack), 1);
  h.taken_back(0, h.given[0].sequence, h.now);
  EXPECT_EQ(h.told_attempts(), (Attempts{2, 3}));
}

TEST(CoreDrain, WhatDoesNotEndInTimeIsKilledAndLost) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.runs(0, h.given[0], h.now);
  h.drain();
  for (int i = 0; i < 4; ++i) {
    h.advance(8s);
    h.heartbeat_from_main();
  }
  EXPECT_EQ(h.count(Order::Kind::Kill), 1);
  EXPECT_FALSE(h.done);
  h.lost(0, h.given[0].sequence);
  EXPECT_TRUE(h.told.empty());  // main gives it to another, without counting a retry
  EXPECT_TRUE(h.done);
  EXPECT_EQ(h.goodbyes, 1);
}

TEST(CoreDrain, DoesNotWaitForEverForAnAcknowledgement) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given[0]);
  h.drain();
  EXPECT_FALSE(h.done);
  h.advance(kFlushMax);
  EXPECT_TRUE(h.done);
}

TEST(CoreDrain, ANewSessionIsToldToo) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.drain();
  h.error(ErrorCode::HelloRequired);
  EXPECT_TRUE(h.hellos.back().draining);
  h.welcome();
  EXPECT_EQ(h.drains, 2);
}

TEST(CoreDrain, TwiceIsOnce) {
  CoreHarness h;
  h.join();
  h.assign({1, 2});
  h.drain();
  h.drain();
  EXPECT_EQ(h.told_attempts(), Attempts{2});
}

}  // namespace
}  // namespace retire::worker
