#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

TEST(CoreAssign, RunsAndReports) {
  CoreHarness h;
  h.join();
  h.assign({1});
  ASSERT_EQ(h.given_attempts(), Attempts{1});
  h.answer(h.given[0]);
  ASSERT_EQ(h.told.size(), 1u);
  EXPECT_EQ(h.told[0].outcome, Outcome::Success);
  EXPECT_EQ(h.told[0].data, "\xc0");
  EXPECT_EQ(h.frames_held(), 0u);
  EXPECT_EQ(h.core.held(), 1u);  // until main has it
  h.ack(h.told[0].batch);
  EXPECT_EQ(h.core.held(), 0u);
}

TEST(CoreAssign, NeverMoreThanSlots) {
  CoreHarness h(2);
  h.join();
  h.assign({1, 2, 3});
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
  EXPECT_NE(h.given[0].slot, h.given[1].slot);
  h.answer(h.given[1], Outcome::Success, 2s);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3}));
  EXPECT_EQ(h.given[2].slot, h.given[1].slot);
}

TEST(CoreAssign, ByPriorityThenByOrder) {
  CoreHarness h;
  h.join();
  h.assign({1}, {.type = "sleep"});
  h.assign({2}, {.type = "sleep", .priority = Priority::Low});
  h.assign({3}, {.type = "sleep"});
  h.assign({4}, {.type = "sleep", .priority = Priority::Urgent});
  h.assign({5}, {.type = "sleep", .priority = Priority::High});
  h.assign({6}, {.type = "sleep"});
  for (std::size_t i = 0; i < 6; ++i) h.answer(h.given.at(i), Outcome::Success, 1s);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 4, 5, 3, 6, 2}));
}

TEST(CoreAssign, TheSameAgainChangesNothing) {
  CoreHarness h;
  h.join();
  h.assign({1, 1});
  h.assign({1});
  EXPECT_EQ(h.core.held(), 1u);
  EXPECT_EQ(h.core.counters().duplicates, 2u);
  h.answer(h.given[0]);
  h.assign({1});  // finished, not acknowledged
  EXPECT_EQ(h.given.size(), 1u);
  EXPECT_EQ(h.told.size(), 1u);
}

TEST(CoreAssign, TheSameAgainAfterItWasForgottenChangesNothing) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given.at(0));
  h.ack_all();
  EXPECT_EQ(h.core.held(), 0u);
  h.assign({1});
  EXPECT_EQ(h.core.held(), 0u);
  EXPECT_EQ(h.given.size(), 1u);
}

TEST(CoreAssign, AnotherRunOfMainNumbersAnew) {
  CoreHarness h;
  h.join();
  h.assign({7});
  h.instance = InstanceId(9, 9);
  h.error(ErrorCode::HelloRequired);
  h.welcome();
  h.assign({3, 7});  // 7 is held still, of the run before
  EXPECT_EQ(h.core.held(), 2u);
}

TEST(CoreAssign, WhatItDoesNotOfferIsHandedBack) {
  CoreHarness h;
  h.join();
  h.assign({1, 2}, {.type = "mine_bitcoin"});
  ASSERT_EQ(h.told.size(), 2u);
  EXPECT_EQ(h.told[0].outcome, Outcome::HandedBack);
  EXPECT_EQ(h.core.held(), 0u);
  EXPECT_EQ(h.sent, Attempts{1});
  h.ack(1);
  EXPECT_EQ(h.forgotten, Attempts{1});
}

TEST(CoreAssign, BeyondTheMostItMayHoldItHandsBack) {
  CoreConfig config;
  config.held_max = 3;
  CoreHarness h(1, config);
  h.join();
  h.assign({1, 2, 3, 4, 5});
  EXPECT_EQ(h.told_attempts(), (Attempts{4, 5}));
  EXPECT_EQ(h.core.held(), 3u);
}

TEST(CoreAssign, BeyondTheBytesItMayHoldItHandsBack) {
  CoreConfig config;
  config.held_bytes_max = 1000;
  CoreHarness h(1, config);
  h.join();
  h.assign({1}, {}, std::string(900, 'x'));
  h.assign({2}, {}, std::string(200, 'x'));
  EXPECT_EQ(h.told_attempts(), Attempts{2});
  EXPECT_EQ(h.frames_held(), 1u);
}

TEST(CoreAssign, WithResultsThatNobodyTakesNothingMoreIsBegun) {
  CoreConfig config;
  config.outbox_bytes_max = 10;
  CoreHarness h(1, config);
  h.join();
  h.assign({1, 2, 3});
  h.answer(h.given.at(0));
  EXPECT_EQ(h.given.size(), 1u);
  h.ack_all();
  EXPECT_GT(h.given.size(), 1u);
}

TEST(CoreAssign, AnAttemptNumberZeroIsNone) {
  CoreHarness h;
  h.join();
  h.assign({0, 1});
  EXPECT_EQ(h.core.held(), 1u);
}

TEST(CoreAssign, LongOnesOneAtATimeShortOnesTogether) {
  CoreHarness h(2);
  h.join();
  h.assign({1, 2, 3, 4});
  EXPECT_EQ(h.given.size(), 2u);  // nothing is known of this type yet
  h.answer(h.given[0], Outcome::Success, 1us);
  EXPECT_EQ(h.given.size(), 4u);  // now it is
  EXPECT_EQ(h.given[2].slot, h.given[3].slot);
}

TEST(CoreAssign, OneAtATimeAgainOnceTheyRunLong) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1});
  h.answer(h.given[0], Outcome::Success, 10s);
  h.given.clear();
  h.assign({2, 3});
  EXPECT_EQ(h.given_attempts(), Attempts{2});
}

TEST(CoreAssign, AHandoverIsBoundedByBytes) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2, 3, 4}, {}, std::string(100 << 10, 'x'));
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
}

TEST(CoreAssign, AHandoverIsBoundedByWork) {
  CoreHarness h;
  h.join();
  h.make_short("echo", 900us);
  h.assign({1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(h.given.size(), 4u);  // 4 ms
}

TEST(CoreAssign, ShortOnesOfTwoTypesKeepTheirOrder) {
  CoreHarness h;
  h.join();
  h.make_short("echo");
  h.make_short("sleep");
  h.assign({1});
  h.assign({2}, {.type = "sleep"});
  h.assign({3});
  EXPECT_EQ(h.given_attempts(), Attempts{1});
  h.answer(h.given[0]);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
}

TEST(CoreAssign, AtMostOnceIsNeverHandedOverWithOthers) {
  CoreHarness h(1);
  h.join();
  h.make_short();
  h.assign({1, 2}, {.at_most_once = true});
  EXPECT_EQ(h.given_attempts(), Attempts{1});
  h.assign({3, 4});
  h.answer(h.given[0]);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));  // alone, nothing is added to its host
  h.answer(h.given[1]);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3, 4}));
}

TEST(CoreAssign, AtMostOnceBehindShortOnesWaitsForAFreeSlot) {
  CoreHarness h(1);
  h.join();
  h.make_short();
  h.assign({1, 2});
  h.assign({3}, {.at_most_once = true});
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
  h.answer(h.given[0]);
  h.answer(h.given[1]);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3}));
}

TEST(CoreAssign, AFewShortOnesDoNotWakeASecondHost) {
  CoreHarness h(2);
  h.join();
  h.make_short();
  h.assign({1, 2, 3});
  h.assign({4, 5});
  ASSERT_EQ(h.given.size(), 5u);
  for (const Given& one : h.given) EXPECT_EQ(one.slot, h.given[0].slot);
}

// Else a host under steady load would never have nothing to do, and never be replaced.
TEST(CoreAssign, ASpentHostIsGivenNoMoreUntilItHasDone) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2, 3});
  ASSERT_EQ(h.given_attempts(), (Attempts{1, 2, 3}));
  h.answer_spent(h.given[0]);
  h.assign({4, 5});
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3}));
  h.answer(h.given[1]);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3}));
  h.answer_spent(h.given[2]);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3, 4, 5}));
  h.assign({6});
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3, 4, 5, 6})) << "the next host is another one";
}

TEST(CoreAssign, ManyAreSpreadOverTheSlots) {
  CoreHarness h(2);
  h.join();
  h.make_short("echo", 100us);
  Attempts many;
  for (std::uint64_t i = 1; i <= 20; ++i) many.push_back(i);
  h.assign(many);
  std::size_t first = 0;
  for (const Given& one : h.given) first += one.slot == h.given[0].slot ? 1u : 0u;
  EXPECT_EQ(h.given.size(), 20u);
  EXPECT_GE(first, 8u);
  EXPECT_LE(first, 12u);
}

}  // namespace
}  // namespace retire::worker
