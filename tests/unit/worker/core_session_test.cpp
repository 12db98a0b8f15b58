#include <algorithm>

#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

TEST(CoreSession, SaysHelloWithWhatItIs) {
  CoreHarness h(4);
  h.join();
  EXPECT_TRUE(h.core.joined());
  ASSERT_EQ(h.hellos.size(), 1u);
  EXPECT_EQ(h.hellos[0].peer, PeerKind::Worker);
  EXPECT_EQ(h.hellos[0].device->slots, 4u);
  EXPECT_TRUE(h.hellos[0].held.empty());
  EXPECT_FALSE(h.hellos[0].draining);
}

TEST(CoreSession, RepeatsHelloUntilThereIsAConnection) {
  CoreHarness h;
  h.turn();
  h.open_socket();
  ASSERT_EQ(h.hellos.size(), 1u);
  h.core.on_hello_not_sent(h.now);
  h.advance(kHelloRetry);
  EXPECT_EQ(h.hellos.size(), 2u);
  h.welcome();
  EXPECT_TRUE(h.core.joined());
}

TEST(CoreSession, BeatsWithJitterAndNeverLate) {
  CoreHarness h;
  h.join();
  TimePoint last = h.now;
  std::vector<Duration> gaps;
  for (int i = 0; i < 50; ++i) {
    const std::size_t before = h.heartbeats.size();
    while (h.heartbeats.size() == before) {
      h.advance(10ms);
      h.heartbeat_from_main();
    }
    gaps.push_back(h.now - last);
    last = h.now;
  }
  for (const Duration gap : gaps) {
    EXPECT_GE(gap, 4500ms);
    EXPECT_LE(gap, 5010ms);
  }
  EXPECT_NE(*std::min_element(gaps.begin(), gaps.end()), *std::max_element(gaps.begin(), gaps.end()));
}

TEST(CoreSession, AHeartbeatTellsWhatIsHeldAndSeen) {
  CoreHarness h;
  h.join();
  h.assign({1, 2, 3});
  h.advance(5s);
  ASSERT_FALSE(h.heartbeats.empty());
  EXPECT_EQ(h.heartbeats[0].seen, 1u);
  EXPECT_EQ(h.heartbeats[0].held.size(), 3u);
  EXPECT_EQ(h.heartbeats[0].running, 1u);
  EXPECT_TRUE(h.heartbeats[0].from_worker);
}

TEST(CoreSession, SilenceAsksForANewSocketWithBackOff) {
  CoreHarness h;
  h.join();
  std::vector<TimePoint> opened;
  const TimePoint silent_since = h.now;
  for (int i = 0; i < 8; ++i) {
    h.socket_wanted = false;
    while (!h.socket_wanted) h.advance(1ms);
    opened.push_back(h.now);
    h.open_socket();
  }
  EXPECT_GE(opened[0] - silent_since, 15s);
  EXPECT_LE(opened[0] - silent_since, 15s + 100ms + 10ms);
  for (std::size_t i = 1; i < opened.size(); ++i) EXPECT_LE(opened[i] - opened[i - 1], 15s + 5s + 10ms);
  EXPECT_FALSE(h.core.joined());
}

TEST(CoreSession, AnyMessageOfMainCountsAsHeard) {
  CoreHarness h;
  h.join();
  for (int i = 0; i < 10; ++i) {
    h.advance(10s);
    h.recall({});
  }
  EXPECT_TRUE(h.core.joined());
  EXPECT_FALSE(h.socket_wanted);
}

TEST(CoreSession, HelloRequiredIsAnsweredOnceWithWhatIsHeld) {
  CoreHarness h;
  h.join();
  h.assign({1, 2});
  h.error(ErrorCode::HelloRequired);
  h.error(ErrorCode::HelloRequired);
  ASSERT_EQ(h.hellos.size(), 2u);
  EXPECT_EQ(h.hellos[1].held.size(), 2u);
  EXPECT_FALSE(h.core.joined());
  h.welcome();
  EXPECT_TRUE(h.core.joined());
}

TEST(CoreSession, ASeenNumberIsOfItsSession) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.error(ErrorCode::HelloRequired);
  h.welcome();
  h.advance(5s);
  ASSERT_FALSE(h.heartbeats.empty());
  EXPECT_EQ(h.heartbeats.back().seen, 0u);
}

TEST(CoreSession, AnAssignOfAnOldSessionIsIgnored) {
  CoreHarness h;
  h.join();
  h.error(ErrorCode::HelloRequired);
  h.assign({5});
  EXPECT_EQ(h.core.held(), 0u);
  EXPECT_EQ(h.core.counters().messages_stale, 1u);
  h.welcome();
  h.assign({5});
  EXPECT_EQ(h.core.held(), 1u);
}

TEST(CoreSession, AWelcomeNobodyAskedForIsIgnored) {
  CoreHarness h;
  h.join();
  h.welcome();
  EXPECT_EQ(h.core.counters().messages_stale, 1u);
  EXPECT_TRUE(h.core.joined());
}

TEST(CoreSession, ReplacedEndsTheWorker) {
  CoreHarness h;
  h.join();
  h.error(ErrorCode::Replaced, 0, "by another");
  ASSERT_TRUE(h.fatal);
  EXPECT_EQ(h.fatal->code, ErrorCode::Replaced);
  EXPECT_NE(h.fatal->detail.find("--device-id"), std::string::npos);
}

TEST(CoreSession, ARefusedHelloEndsTheWorkerIfItAlwaysWouldBe) {
  for (const ErrorCode code : {ErrorCode::Invalid, ErrorCode::UnsupportedVersion, ErrorCode::NotLetIn}) {
    CoreHarness h;
    h.turn();
    h.open_socket();
    h.error(code, kHelloCorrelation, "no");
    ASSERT_TRUE(h.fatal);
    EXPECT_EQ(h.fatal->code, code);
  }
}

TEST(CoreSession, ABusyMainIsTriedAgain) {
  CoreHarness h;
  h.turn();
  h.open_socket();
  h.socket_wanted = false;
  h.error(ErrorCode::Busy, kHelloCorrelation);
  EXPECT_FALSE(h.fatal);
  h.advance(200ms);
  EXPECT_TRUE(h.socket_wanted);
}

TEST(CoreSession, ResultsGoAgainAfterANewWelcome) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given.at(0));
  EXPECT_EQ(h.sent, Attempts{1});
  h.error(ErrorCode::HelloRequired);
  EXPECT_EQ(h.hellos.back().held, std::vector<AttemptId>{AttemptId(1)});
  h.welcome();
  EXPECT_EQ(h.sent, (Attempts{1, 1}));
  h.ack(1);
  EXPECT_EQ(h.core.held(), 0u);
  EXPECT_EQ(h.forgotten, Attempts{1});
}

TEST(CoreSession, ResultsWaitWhileMainIsAway) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.advance(16s);  // silence
  ASSERT_TRUE(h.socket_wanted);
  h.answer(h.given.at(0));
  EXPECT_TRUE(h.sent.empty());
  h.advance(60s);
  EXPECT_TRUE(h.sent.empty());
  h.open_socket();
  h.welcome();
  EXPECT_EQ(h.sent, Attempts{1});
}

TEST(CoreSession, AbandonedOnesAreStoppedAndForgotten) {
  CoreHarness h;
  h.join();
  h.assign({1, 2});  // 1 runs, 2 is queued
  h.error(ErrorCode::HelloRequired);
  h.welcome({AttemptId(1), AttemptId(2), AttemptId(99)});
  EXPECT_EQ(h.core.held(), 1u);
  ASSERT_EQ(h.count(Order::Kind::TakeBack), 1);
  h.taken_back(0, h.given[0].sequence, h.now);
  ASSERT_EQ(h.count(Order::Kind::Cancel), 1);
  h.answer(h.given[0], Outcome::Cancelled);
  EXPECT_EQ(h.core.held(), 0u);
  EXPECT_TRUE(h.told.empty());
}

TEST(CoreSession, ABatchThatMainCannotReadIsNotSentForEver) {
  CoreHarness h;
  h.join();
  h.assign({1});
  h.answer(h.given.at(0));
  h.error(ErrorCode::Malformed, 1);
  EXPECT_EQ(h.core.held(), 0u);
  EXPECT_EQ(h.core.counters().results_refused, 1u);
  EXPECT_EQ(h.forgotten, Attempts{1});
}

TEST(CoreSession, AMainThatWantsTheImpossibleDoesNotMakeItSpin) {
  CoreHarness h;
  h.turn();
  h.open_socket();
  Welcome silly;
  silly.heartbeat = Duration::zero();
  silly.offline_after = Duration::zero();
  Effects out;
  h.core.on_welcome(silly, h.now, out);
  h.advance(1s);
  EXPECT_LE(h.heartbeats.size(), 60u);
}

}  // namespace
}  // namespace retire::worker
