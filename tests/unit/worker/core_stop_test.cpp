#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

TEST(CoreStop, AQueuedOneEndsAtOnce) {
  CoreHarness h;
  h.join();
  h.assign({1, 2});
  h.stop({2, 55});
  ASSERT_EQ(h.told.size(), 1u);
  EXPECT_EQ(h.told[0].attempt, 2u);
  EXPECT_EQ(h.told[0].outcome, Outcome::Cancelled);
}

TEST(CoreStop, ARunningOneIsAskedThenKilled) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.runs(0, h.given[0], h.now);
  h.advance(50ms);
  h.stop({1});
  h.stop({1});
  EXPECT_EQ(h.count(Order::Kind::Cancel), 1);
  h.advance(2100ms);
  EXPECT_EQ(h.count(Order::Kind::Kill), 1);
  h.lost(0, h.given[0].sequence);
  ASSERT_EQ(h.told.size(), 1u);
  EXPECT_EQ(h.told[0].outcome, Outcome::Cancelled);
}

TEST(CoreStop, OneThatIsHandedButNotBegunComesBack) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2, 3});
  h.stop({3, 2});
  EXPECT_EQ(h.count(Order::Kind::TakeBack), 1);  // one for all of a host
  h.taken_back(0, h.given[0].sequence, h.now);
  EXPECT_EQ(h.told_attempts(), (Attempts{2, 3}));
  for (const Told& one : h.told) EXPECT_EQ(one.outcome, Outcome::Cancelled);
}

TEST(CoreStop, OneWhoseHostIsStillStartingComesBack) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.stop({1});
  h.taken_back(0, 0, TimePoint{});
  EXPECT_EQ(h.told.at(0).outcome, Outcome::Cancelled);
  h.assign({2});
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
}

TEST(CoreStop, OneThatRunsIsAskedAsSoonAsThatIsSeen) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.stop({1});
  h.taken_back(0, h.given[0].sequence, h.now);
  ASSERT_EQ(h.count(Order::Kind::Cancel), 1);
  h.answer(h.given[0], Outcome::Cancelled);
  EXPECT_EQ(h.told[0].outcome, Outcome::Cancelled);
}

TEST(CoreStop, WhatHadEndedAlreadyIsToldAsItWas) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given[0]);
  h.stop({1});
  ASSERT_EQ(h.told.size(), 1u);
  EXPECT_EQ(h.told[0].outcome, Outcome::Success);
}

TEST(CoreStop, ADeathOfOneThatWasToStopIsNoCrash) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.stop({1});
  h.lost(0, h.given[0].sequence);
  EXPECT_EQ(h.told.at(0).outcome, Outcome::Cancelled);
}

TEST(CoreRecall, GivesBackExactlyWhatIsNotHandedOver) {
  CoreHarness h;
  h.join();
  h.assign({1, 2, 3});
  h.recall({1, 3, 99});
  ASSERT_EQ(h.returned.size(), 1u);
  EXPECT_EQ(h.returned[0].correlation, 77u);
  EXPECT_EQ(h.returned[0].attempts.attempts, std::vector<AttemptId>{AttemptId(3)});
  EXPECT_EQ(h.core.held(), 2u);
  h.answer(h.given[0]);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
}

TEST(CoreRecall, IsAnsweredEvenIfThereIsNothing) {
  CoreHarness h;
  h.join();
  h.recall({5});
  ASSERT_EQ(h.returned.size(), 1u);
  EXPECT_TRUE(h.returned[0].attempts.attempts.empty());
}

TEST(CoreRecall, WhatWasGivenBackDoesNotComeAgainUnderItsNumber) {
  CoreHarness h;
  h.join();
  h.assign({1, 2});
  h.recall({2});
  h.assign({2});  // late, and a second time: main has numbered it anew by now
  EXPECT_EQ(h.core.held(), 1u);
  h.assign({3});
  EXPECT_EQ(h.core.held(), 2u);
}

}  // namespace
}  // namespace retire::worker
