// Which results go to the disk, and when; what a worker does with those of its former life.
#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

TEST(CoreSaving, WhatMainAcknowledgesInTimeIsNeverSaved) {
  CoreHarness h;
  h.join();
  for (std::uint64_t i = 1; i <= 20; ++i) {
    h.assign({i});
    h.answer(h.given.back());
    h.advance(kSaveAfter - 1us);
    h.ack_all();
    h.heartbeat_from_main();
  }
  h.advance(10s);
  EXPECT_TRUE(h.saved.empty());
}

TEST(CoreSaving, WhatIsUnacknowledgedForASecondIsSavedOnce) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given[0]);
  h.advance(kSaveAfter - 1us);
  EXPECT_TRUE(h.saved.empty());
  h.advance(1us);
  EXPECT_EQ(h.saved, Attempts{1});
  h.advance(60s);
  EXPECT_EQ(h.saved, Attempts{1});
}

TEST(CoreSaving, TheYoungOnesGoWithTheOldest) {
  CoreHarness h;
  h.join();
  for (std::uint64_t i = 1; i <= 4; ++i) {
    h.assign({i});
    h.answer(h.given.back());
    h.advance(300ms);
  }
  EXPECT_EQ(h.saved, (Attempts{1, 2, 3, 4}));
}

TEST(CoreSaving, AnAcknowledgedOneInTheMiddleIsLeftOut) {
  CoreHarness h;
  h.join();
  for (std::uint64_t i = 1; i <= 3; ++i) {
    h.assign({i});
    h.answer(h.given.back());
  }
  h.ack(2);
  h.advance(kSaveAfter);
  EXPECT_EQ(h.saved, (Attempts{1, 3}));
}

TEST(CoreSaving, SavedWithoutAnyMain) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.error(ErrorCode::HelloRequired);  // and no welcome comes
  h.answer(h.given[0]);
  h.advance(kSaveAfter);
  EXPECT_EQ(h.saved, Attempts{1});
}

TEST(CoreSaving, AFullDiskIsTriedAgainLater) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given[0]);
  h.advance(kSaveAfter);
  ASSERT_EQ(h.saved, Attempts{1});
  h.not_saved(1);
  h.assign({2});
  h.answer(h.given[1]);
  h.advance(kSaveRetry - 1us);
  EXPECT_EQ(h.saved, Attempts{1});
  h.advance(1us);
  EXPECT_EQ(h.saved, (Attempts{1, 1, 2}));
}

TEST(CoreSaving, AfterAFailedSaveTheAcknowledgedOnesStayAway) {
  CoreHarness h;
  h.join();
  for (std::uint64_t i = 1; i <= 3; ++i) {
    h.assign({i});
    h.answer(h.given.back());
  }
  h.advance(kSaveAfter);
  ASSERT_EQ(h.saved, (Attempts{1, 2, 3}));
  h.ack(1);
  h.not_saved(1);
  h.ack(3);
  h.advance(kSaveRetry);
  EXPECT_EQ(h.saved, (Attempts{1, 2, 3, 2}));
}

TEST(CoreSaving, TheEndSavesWhatIsYoungToo) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given[0]);
  h.save_all();
  EXPECT_EQ(h.saved, Attempts{1});
  h.save_all();
  EXPECT_EQ(h.saved, Attempts{1});
}

TEST(CoreSaving, TheEndOfAWorkerWithNothingToTellSavesNothing) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given[0]);
  h.ack(1);
  h.save_all();
  EXPECT_TRUE(h.saved.empty());
}

TEST(CoreSaving, ResultsOfAFormerLifeAreHeldSentAndForgotten) {
  CoreHarness h;
  h.core.restore({{{AttemptId(7), AttemptId(8)}, 100}, {{AttemptId(9)}, 50}});
  EXPECT_EQ(h.core.held(), 3u);
  h.join();
  ASSERT_EQ(h.hellos.size(), 1u);
  EXPECT_EQ(h.hellos[0].held, (std::vector<AttemptId>{AttemptId(7), AttemptId(8), AttemptId(9)}));
  EXPECT_EQ(h.sent, (Attempts{1, 2}));
  h.advance(kSaveAfter);
  EXPECT_TRUE(h.saved.empty()) << "they lie on the disk already";
  h.ack(1);
  EXPECT_EQ(h.core.held(), 1u);
  h.ack(2);
  EXPECT_EQ(h.core.held(), 0u);
  EXPECT_EQ(h.forgotten, (Attempts{1, 2}));
  EXPECT_FALSE(h.core.results_wait());
}

TEST(CoreSaving, NewResultsAreNumberedAfterTheOldOnes) {
  CoreHarness h;
  h.core.restore({{{AttemptId(7)}, 100}});
  h.join();
  h.assign({20});
  h.answer(h.given[0]);
  EXPECT_EQ(h.told.back().batch, 2u);
  h.advance(kSaveAfter);
  EXPECT_EQ(h.saved, Attempts{2});
}

TEST(CoreSaving, AFileThatRepeatsItselfHarmsNobody) {
  CoreHarness h;
  h.core.restore({{{AttemptId(7), AttemptId(7), AttemptId(0)}, 10}, {{AttemptId(7)}, 10}, {{}, 10}});
  EXPECT_EQ(h.core.held(), 1u);
  h.join();
  EXPECT_EQ(h.sent, (Attempts{1, 2, 3}));
  h.ack_all();
  EXPECT_EQ(h.core.held(), 0u);
}

TEST(CoreSaving, WhatMainAbandonsIsStillToldAndGoesWhenAcknowledged) {
  CoreHarness h;
  h.core.restore({{{AttemptId(7)}, 10}});
  h.turn();
  h.open_socket();
  h.welcome({AttemptId(7)});
  EXPECT_EQ(h.core.held(), 1u);
  h.ack(1);
  EXPECT_EQ(h.core.held(), 0u);
}

TEST(CoreSaving, KeptResultsCountAgainstTheBound) {
  CoreConfig config;
  config.outbox_bytes_max = 100;
  CoreHarness h(1, config);
  h.core.restore({{{AttemptId(7)}, 101}});
  h.join();
  h.assign({20});
  EXPECT_TRUE(h.given.empty());
  h.ack(1);
  EXPECT_EQ(h.given.size(), 1u);
}

}  // namespace
}  // namespace retire::worker
