#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

TEST(CoreHosts, AFailureIsToldAsItIs) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given[0], Outcome::Failed);
  EXPECT_EQ(h.told[0].outcome, Outcome::Failed);
  EXPECT_EQ(h.told[0].message, "no luck");
  EXPECT_EQ(h.told[0].data, "");
}

TEST(CoreHosts, CancelledByNobodyIsAFailure) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given[0], Outcome::Cancelled, 1ms);
  EXPECT_EQ(h.told[0].outcome, Outcome::Failed);
}

TEST(CoreHosts, CancelledByItsOwnDeadlineIsATimeout) {
  CoreHarness h;
  h.join();
  h.assign({1}, {.timeout = 1500ms});
  h.answer(h.given[0], Outcome::Cancelled, 1500ms);
  EXPECT_EQ(h.told[0].outcome, Outcome::Timeout);
  EXPECT_NE(h.told[0].message.find("timeout_seconds 1.5"), std::string::npos) << h.told[0].message;
}

TEST(CoreHosts, StartedIsSentOnlyForWhatRunsForAWhile) {
  CoreHarness h(2);
  h.join();
  h.assign({1, 2}, {.type = "sleep"});
  h.runs(0, h.given[0].slot == 0 ? h.given[0] : h.given[1], h.now);
  h.runs(1, h.given[0].slot == 1 ? h.given[0] : h.given[1], h.now);
  h.advance(5ms);
  h.answer(h.given[0]);
  h.advance(100ms);
  EXPECT_EQ(h.started, Attempts{2});
  h.advance(10s);
  EXPECT_EQ(h.started, Attempts{2});  // once
}

TEST(CoreHosts, TimeoutAsksThenKills) {
  CoreHarness h;
  h.join();
  h.assign({1}, {.timeout = 1s});
  h.runs(0, h.given[0], h.now);
  h.advance(999ms);
  EXPECT_TRUE(h.orders.empty());
  h.advance(2ms);
  ASSERT_EQ(h.orders.size(), 1u);
  EXPECT_EQ(h.orders[0].kind, Order::Kind::Cancel);
  EXPECT_EQ(h.orders[0].sequence, h.given[0].sequence);
  h.advance(990ms);
  EXPECT_EQ(h.orders.size(), 1u);
  h.advance(20ms);
  ASSERT_EQ(h.orders.size(), 2u);
  EXPECT_EQ(h.orders[1].kind, Order::Kind::Terminate);
  h.advance(980ms);
  EXPECT_EQ(h.orders.size(), 2u);
  h.advance(20ms);
  ASSERT_EQ(h.orders.size(), 3u);
  EXPECT_EQ(h.orders[2].kind, Order::Kind::Kill);
  h.assign({2});
  EXPECT_EQ(h.given.size(), 1u);  // the slot is not free before nothing of it is left
  h.lost(0, h.given[0].sequence, "handler process died: signal 9 (SIGKILL)");
  ASSERT_EQ(h.told.size(), 1u);
  EXPECT_EQ(h.told[0].outcome, Outcome::Timeout);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
}

TEST(CoreHosts, ATimeoutTellsOfTheLimitThatWasMet) {
  CoreHarness h;
  h.join();
  h.assign({1}, {.timeout = 1s});
  h.runs(0, h.given[0], h.now);
  h.advance(10s);
  h.lost(0, h.given[0].sequence, "killed", "", "", "its host was refused 9 processes beyond the limit of 64");
  ASSERT_EQ(h.told.size(), 1u);
  EXPECT_EQ(
      h.told[0].message,
      "no result within timeout_seconds 1; it went on and was killed; its host was refused 9 processes beyond the "
      "limit of 64");
}

TEST(CoreHosts, TimeoutThatEndsWhenAsked) {
  CoreHarness h;
  h.join();
  h.assign({1}, {.timeout = 1s});
  h.runs(0, h.given[0], h.now);
  h.advance(1001ms);
  h.answer(h.given[0], Outcome::Failed, 1002ms);
  EXPECT_EQ(h.told[0].outcome, Outcome::Timeout);
  h.advance(10s);
  EXPECT_EQ(h.count(Order::Kind::Kill), 0);
}

TEST(CoreHosts, ASuccessThatComesLateIsASuccess) {
  CoreHarness h;
  h.join();
  h.assign({1}, {.timeout = 1s});
  h.runs(0, h.given[0], h.now);
  h.advance(1500ms);
  h.answer(h.given[0], Outcome::Success, 1500ms);
  EXPECT_EQ(h.told[0].outcome, Outcome::Success);
}

TEST(CoreHosts, ATimeoutCountsFromTheStartNotFromTheHandover) {
  CoreHarness h;
  h.join();
  h.assign({1}, {.timeout = 1s});
  h.advance(700ms);  // the host is still loading its plugin
  EXPECT_GE(h.count(Order::Kind::Look), 10);
  h.orders.clear();
  h.runs(0, h.given[0], h.now);
  h.advance(900ms);
  EXPECT_EQ(h.count(Order::Kind::Cancel), 0);
  h.advance(150ms);
  EXPECT_EQ(h.count(Order::Kind::Cancel), 1);
}

TEST(CoreHosts, AVeryShortTimeoutIsSeen) {
  CoreHarness h;
  h.join();
  h.assign({1}, {.timeout = 1ms});
  h.runs(0, h.given[0], h.now);
  h.advance(10ms);
  EXPECT_EQ(h.count(Order::Kind::Cancel), 1);
}

TEST(CoreHosts, ADeathBlamesTheOneThatRan) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2, 3});
  ASSERT_EQ(h.given.size(), 3u);
  h.answer(h.given[0]);
  h.lost(0, h.given[1].sequence);
  ASSERT_EQ(h.told.size(), 2u);
  EXPECT_EQ(h.told[1].attempt, 2u);
  EXPECT_EQ(h.told[1].outcome, Outcome::Crashed);
  EXPECT_EQ(h.told[1].message, "handler process died: signal 11 (SIGSEGV)");
  EXPECT_EQ(h.told[1].traceback, "last words");
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 3, 3}));  // again, without being told of
}

TEST(CoreHosts, ADeathBetweenAttemptsBlamesNobody) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2});
  h.answer(h.given[0]);
  h.lost(0, h.given[0].sequence);
  EXPECT_EQ(h.told.size(), 1u);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 2}));
}

TEST(CoreHosts, ADeathBeforeAnythingBlamesTheFirst) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2});
  h.lost(0, 0, "handler process died: exit status 1");
  EXPECT_EQ(h.told_attempts(), Attempts{1});
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 2}));
}

TEST(CoreHosts, AHostThatLiesAboutWhatItRunsStillCosts) {
  CoreHarness h;
  h.join();
  h.assign({1});
  for (int i = 0; i < 3 && h.told.empty(); ++i) h.lost(0, 0xdeadbeef);
  EXPECT_EQ(h.told_attempts(), Attempts{1});
}

// A host that was written over by its handler says what it likes; the timeouts are ours all the same.
TEST(CoreHosts, ATimeoutIsNotPutOffByAHostThatKeepsSayingItHasJustBegun) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2}, {.timeout = 1s});
  ASSERT_EQ(h.given.size(), 2u);
  for (int i = 0; i < 100 && h.count(Order::Kind::Cancel) == 0; ++i) {
    h.runs(0, h.given[static_cast<std::size_t>(i % 2)], h.now);
    h.advance(20ms);
  }
  EXPECT_EQ(h.count(Order::Kind::Cancel), 1);
}

TEST(CoreHosts, WhatAHostRunsAndDisownsAgainAndAgainEnds) {
  CoreHarness h;
  h.join();
  h.assign({1});
  for (int i = 0; i < 100 && h.told.empty(); ++i) {
    h.looked(0, h.given.back().sequence, h.now);
    h.skipped(h.given.back());
  }
  ASSERT_EQ(h.told_attempts(), Attempts{1});
  EXPECT_EQ(h.told[0].outcome, Outcome::Crashed);
}

TEST(CoreHosts, AnswersToNothingAreCounted) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer({0, 999, 1, "echo"});
  h.answer({5, 1, 1, "echo"});  // no such slot
  h.looked(7, 1, h.now);
  h.taken_back(7, 1, h.now);
  h.lost(7, 1);
  EXPECT_EQ(h.core.counters().results_unknown, 1u);
  EXPECT_TRUE(h.told.empty());
  h.answer(h.given[0]);
  h.answer(h.given[0]);
  EXPECT_EQ(h.told.size(), 1u);
}

TEST(CoreHosts, WhatWaitsBehindALongOneIsTakenBack) {
  CoreHarness h(2);
  h.join();
  h.make_short("sleep");
  h.assign({1, 2, 3}, {.type = "sleep"});
  ASSERT_EQ(h.given.size(), 3u);
  const SlotIndex slot = h.given[0].slot;
  h.runs(slot, h.given[0], h.now);
  h.advance(25ms);
  ASSERT_EQ(h.count(Order::Kind::TakeBack), 1);
  h.taken_back(slot, h.given[0].sequence, h.now - 25ms);
  ASSERT_EQ(h.given.size(), 5u);  // 2 and 3 went to the other slot
  EXPECT_EQ(h.given[3].attempt, 2u);
  EXPECT_EQ(h.given[4].attempt, 3u);
  EXPECT_NE(h.given[3].slot, slot);
  h.skipped(h.given[1]);  // the first host says so too, later
  EXPECT_TRUE(h.told.empty());
  EXPECT_EQ(h.started, Attempts{1});
}

TEST(CoreHosts, TakenBackOnesCanBeRecalled) {
  CoreHarness h;
  h.join();
  h.make_short("sleep");
  h.assign({1, 2, 3}, {.type = "sleep"});
  h.recall({1, 2, 3});
  ASSERT_EQ(h.returned.size(), 1u);
  EXPECT_TRUE(h.returned[0].attempts.attempts.empty());  // handed to a host
  h.runs(0, h.given[0], h.now);
  h.advance(25ms);
  h.taken_back(0, h.given[0].sequence, h.now - 25ms);
  h.recall({2, 3});
  EXPECT_EQ(h.returned[1].attempts.attempts.size(), 2u);
  EXPECT_EQ(h.core.held(), 1u);
}

TEST(CoreHosts, OneThatIsBegunAtThatVeryMomentIsNotTakenBack) {
  CoreHarness h;
  h.join();
  h.make_short("sleep");
  h.assign({1, 2}, {.type = "sleep"});
  h.runs(0, h.given[0], h.now);
  h.advance(25ms);
  h.taken_back(0, h.given[1].sequence, h.now);  // it has gone on to 2
  EXPECT_EQ(h.given.size(), 2u);
  h.answer(h.given[0]);
  h.skipped(h.given[1]);  // or had it? it had not: it is run after all
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2, 2}));
}

TEST(CoreHosts, AHostThatNeverBeginsIsKilledAndCosts) {
  CoreConfig config;
  config.start_timeout = 3s;
  CoreHarness h(1, config);
  h.join();
  h.assign({1});
  h.looked(0, 0, TimePoint{});
  for (int i = 0; i < 200 && h.count(Order::Kind::Kill) == 0; ++i) {
    h.advance(20ms);
    h.looked(0, 0, TimePoint{});
  }
  ASSERT_EQ(h.count(Order::Kind::Kill), 1);
  h.lost(0, 0, "handler process died: signal 9 (SIGKILL)");
  ASSERT_EQ(h.told.size(), 1u);
  EXPECT_EQ(h.told[0].outcome, Outcome::Crashed);
  EXPECT_NE(h.told[0].message.find("did not begin"), std::string::npos);
}

TEST(CoreHosts, KilledForOneThatEndedMeanwhileCostsTheNextNothing) {
  CoreHarness h;
  h.join();
  h.make_short("sleep");
  h.assign({1, 2}, {.type = "sleep", .timeout = 1s});
  h.runs(0, h.given[0], h.now);
  h.advance(1s);      // TakeBack is ordered, but not answered in this test; Cancel of 1
  h.advance(2100ms);  // Kill
  ASSERT_EQ(h.count(Order::Kind::Kill), 1);
  h.answer(h.given[0], Outcome::Cancelled, 3s);
  h.lost(0, h.given[1].sequence);
  EXPECT_EQ(h.told_attempts(), Attempts{1});
  EXPECT_EQ(h.given.back().attempt, 2u);
}

}  // namespace
}  // namespace retire::worker
