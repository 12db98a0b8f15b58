// When running attempts are listened to, and what main is told of them.
#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

class CoreLive : public testing::Test {
 protected:
  const std::vector<Order>& listens() const { return harness.listens; }
  // A task that runs since now, as the host says.
  Given running(std::uint64_t attempt) {
    harness.assign({attempt});
    const Given run = harness.given.back();
    harness.runs(run.slot, run, harness.now);
    return run;
  }
  void told(const Given& run, const std::string& text, const std::string& checkpoint = "") {
    harness.told_live(run.slot, {run.sequence, 0.5, text, 3, "\x90", checkpoint});
  }

  CoreHarness harness{2};
};

TEST_F(CoreLive, AShortAttemptIsNotListenedTo) {
  harness.join();
  const Given run = running(1);
  harness.advance(9ms);
  harness.answer(run);
  harness.advance(5s);
  EXPECT_EQ(listens().size(), 0u);
}

TEST_F(CoreLive, ALongOneIsListenedToAtOnceAndThenAFewTimesASecond) {
  harness.join();
  const Given run = running(1);
  harness.advance(30ms);
  ASSERT_EQ(listens().size(), 1u);
  EXPECT_EQ(listens()[0].sequence, run.sequence);
  EXPECT_FALSE(listens()[0].again);
  harness.advance(10s);
  EXPECT_LE(listens().size(), 42u);
  EXPECT_GE(listens().size(), 40u);
  harness.answer(run);
  const std::size_t before = listens().size();
  harness.advance(5s);
  EXPECT_EQ(listens().size(), before);
}

TEST_F(CoreLive, SlotsAreListenedToAtTheSameMoments) {
  harness.join();
  running(1);
  harness.advance(77ms);
  running(2);
  harness.advance(1s);
  std::map<SlotIndex, int> each;
  harness.listens.clear();
  const TimePoint from = harness.now;
  harness.advance(kListenEach);
  EXPECT_EQ(listens().size(), 2u) << (harness.now - from).count();
}

TEST_F(CoreLive, WhatIsToldGoesToMainUnderTheAttemptsNumber) {
  harness.join();
  const Given run = running(7);
  harness.advance(30ms);
  told(run, "half", "saved");
  ASSERT_EQ(harness.progress.size(), 1u);
  EXPECT_EQ(harness.progress[0].attempt, 7u);
  EXPECT_EQ(harness.progress[0].text, "half");
  EXPECT_EQ(harness.progress[0].first_line, 3u);
  EXPECT_EQ(harness.progress[0].checkpoint, "saved");
}

TEST_F(CoreLive, NobodyWantsToHearOfWhatIsToEndOrIsUnknown) {
  harness.join();
  const Given run = running(7);
  harness.advance(30ms);
  told({run.slot, run.sequence + 1, 0, ""}, "of another");
  harness.told_live(99, {run.sequence, 0.5, "of no slot", 0, {}, {}});
  harness.stop({7});
  told(run, "late");
  EXPECT_TRUE(harness.progress.empty());
}

TEST_F(CoreLive, WhileMainIsAwayNothingIsAskedAndANewMainIsToldAgain) {
  harness.join();
  running(1);
  harness.advance(30ms);
  harness.error(ErrorCode::HelloRequired);
  harness.listens.clear();
  harness.advance(2s);
  EXPECT_EQ(listens().size(), 0u);
  harness.welcome();
  harness.advance(300ms);
  ASSERT_GE(listens().size(), 1u);
  EXPECT_TRUE(listens()[0].again);
  harness.listens.clear();
  harness.advance(300ms);
  ASSERT_GE(listens().size(), 1u);
  EXPECT_FALSE(listens()[0].again);
}

TEST_F(CoreLive, WhatCouldNotBeSentIsToldAgain) {
  harness.join();
  running(1);
  harness.advance(30ms);
  harness.core.on_progress_not_sent();
  harness.listens.clear();
  harness.advance(300ms);
  ASSERT_GE(listens().size(), 1u);
  EXPECT_TRUE(listens()[0].again);
}

TEST_F(CoreLive, ACheckpointIsHandedOnAndComesBackWithAFailure) {
  harness.join();
  harness.assign({1}, {}, "\xc0", "from before");
  const Given run = harness.given.back();
  EXPECT_EQ(run.checkpoint, "from before");
  harness.answer(run, Outcome::Failed, 10us, "mine");
  EXPECT_EQ(harness.told.back().checkpoint, "mine");
  harness.ack_all();
  EXPECT_EQ(harness.frames_held(), 0u);

  harness.assign({2});
  harness.answer(harness.given.back(), Outcome::Success, 10us, "unneeded");
  EXPECT_EQ(harness.told.back().checkpoint, "");
}

TEST_F(CoreLive, ACrashCarriesTheLogAndCheckpointOfWhatRan) {
  harness.join();
  harness.assign({1});
  const Given run = harness.given.back();
  harness.lost(run.slot, run.sequence, "died", "log", "saved");
  EXPECT_EQ(harness.told.back().logs, "log");
  EXPECT_EQ(harness.told.back().checkpoint, "saved");

  // Blamed as the first of what it had, without being known to have run: what is there is not its own.
  harness.assign({2});
  harness.lost(harness.given.back().slot, 0, "died", "log", "saved");
  EXPECT_EQ(harness.told.back().attempt, 2u);
  EXPECT_EQ(harness.told.back().logs, "");
  EXPECT_EQ(harness.told.back().checkpoint, "");
}

}  // namespace
}  // namespace retire::worker
