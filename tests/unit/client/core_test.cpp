#include "client/core/core.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "common/protocol/codec.hpp"

namespace retire::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

TaskId id(std::uint64_t number) { return {1, number}; }

// A core and what it sends, under simulated time.
class CoreTest : public testing::Test {
 protected:
  CoreTest() : core_({"tester 1", InstanceId(7, 7)}, 42, now_) {}

  struct Sent {
    MessageType type = MessageType::Error;
    std::uint64_t correlation = 0;
    std::string frame;
  };
  std::vector<Sent> sent() {
    std::vector<Sent> out;
    while (core_.has_frame()) {
      Sent& one = out.emplace_back();
      one.frame = core_.take_frame();
      const auto envelope = protocol::decode_envelope(one.frame, one.correlation);
      EXPECT_TRUE(envelope.ok());
      one.type = envelope.value().type;
    }
    return out;
  }
  std::vector<MessageType> types() {
    std::vector<MessageType> out;
    for (const Sent& one : sent()) out.push_back(one.type);
    return out;
  }
  void pass(Duration time) {
    now_ += time;
    core_.on_time(now_);
  }
  void welcome(std::uint64_t correlation, std::uint64_t instance = 1) {
    Welcome welcome;
    welcome.instance = InstanceId(instance, instance);
    welcome.heartbeat = 5s;
    welcome.offline_after = 15s;
    core_.on_heard(now_);
    core_.on_welcome(correlation, welcome, now_);
  }
  void connect() { welcome(sent().at(0).correlation); }
  void error(std::uint64_t correlation, ErrorCode code, std::optional<Duration> retry_after = std::nullopt) {
    ErrorReply reply;
    reply.code = code;
    reply.message = "because";
    reply.retry_after = retry_after;
    core_.on_heard(now_);
    core_.on_error(correlation, reply, now_);
  }
  std::uint64_t ask(Duration timeout = 60s) {
    const std::uint64_t correlation = core_.next_correlation();
    std::string frame;
    protocol::encode_empty(frame, MessageType::Stats, correlation);
    core_.request(correlation, frame, now_ + timeout, now_);
    return correlation;
  }
  std::uint64_t submit(const std::vector<TaskId>& tasks, Duration timeout = 60s) {
    const std::uint64_t correlation = core_.next_correlation();
    protocol::SubmitBatch batch(true);
    TaskSpec spec;
    spec.type = "echo";
    const auto index = batch.add_spec(spec);
    for (const TaskId& task : tasks) batch.add(task, index, "\xc0");
    core_.submit(correlation, batch.take(correlation), tasks, true, now_ + timeout, now_);
    return correlation;
  }
  std::vector<TaskId> ids_of(const Sent& one) {
    std::uint64_t correlation = 0;
    const auto envelope = protocol::decode_envelope(one.frame, correlation);
    TaskIds ids;
    EXPECT_TRUE(protocol::decode_ids(envelope.value().body, "ids", ids).ok());
    return ids.ids;
  }

  TimePoint now_{1h};
  Core core_;
};

TEST_F(CoreTest, SaysHelloFirstAndHoldsRequestsUntilWelcome) {
  ask();
  const auto first = sent();
  ASSERT_THAT(first, SizeIs(1));
  EXPECT_EQ(first[0].type, MessageType::Hello);
  EXPECT_FALSE(core_.ready());
  welcome(first[0].correlation);
  EXPECT_TRUE(core_.ready());
  EXPECT_THAT(types(), ElementsAre(MessageType::Stats));
}

TEST_F(CoreTest, AWelcomeOfAnotherHelloIsIgnored) {
  const auto first = sent();
  welcome(first[0].correlation + 1);
  EXPECT_FALSE(core_.ready());
}

TEST_F(CoreTest, AnAnswerEndsTheRequestOnce) {
  connect();
  const std::uint64_t correlation = ask();
  EXPECT_EQ(core_.outstanding(), 1u);
  EXPECT_TRUE(core_.on_answer(correlation, now_).has_value());
  EXPECT_FALSE(core_.on_answer(correlation, now_).has_value());
  EXPECT_EQ(core_.outstanding(), 0u);
}

TEST_F(CoreTest, ARefusalFailsTheRequest) {
  connect();
  const std::uint64_t correlation = submit({id(1)});
  EXPECT_EQ(core_.awaited(), 1u);
  error(correlation, ErrorCode::Conflict);
  const auto failed = core_.take_failed();
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].error.code, ErrorCode::Conflict);
  EXPECT_THAT(failed[0].request.tasks, ElementsAre(id(1)));
  EXPECT_EQ(core_.awaited(), 0u);
}

TEST_F(CoreTest, ErrorsOfNobodyAreIgnored) {
  connect();
  error(999, ErrorCode::Invalid);
  error(0, ErrorCode::Malformed);
  EXPECT_FALSE(core_.has_failed());
  EXPECT_TRUE(core_.ready());
}

TEST_F(CoreTest, HelloRequiredMeansHelloAndTheSameBytesAgain) {
  connect();
  const std::uint64_t first = submit({id(1)});
  const std::uint64_t second = submit({id(2)});
  const auto before = sent();
  error(first, ErrorCode::HelloRequired);
  error(second, ErrorCode::HelloRequired);
  const auto hello = sent();
  ASSERT_THAT(hello, SizeIs(1)) << "one hello for both";
  EXPECT_EQ(hello[0].type, MessageType::Hello);
  welcome(hello[0].correlation, 2);
  const auto again = sent();
  ASSERT_THAT(again, SizeIs(2));
  EXPECT_EQ(again[0].frame, before[0].frame);
  EXPECT_EQ(again[1].frame, before[1].frame);
}

TEST_F(CoreTest, AfterANewConnectionAwaitedResultsAreAskedFor) {
  connect();
  const std::uint64_t done = submit({id(1), id(2)});
  core_.on_answer(done, now_);
  EXPECT_TRUE(core_.on_result(id(1)));
  const std::uint64_t open = submit({id(3)});
  sent();
  error(open, ErrorCode::HelloRequired);
  welcome(sent().at(0).correlation);
  const auto again = sent();
  ASSERT_THAT(again, SizeIs(2));
  EXPECT_EQ(again[0].type, MessageType::Submit);
  EXPECT_EQ(again[1].type, MessageType::Wait);
  EXPECT_THAT(ids_of(again[1]), ElementsAre(id(2))) << "not 1, which is known, nor 3, which is submitted again";
  // The repeated submission is acknowledged: its result may have been pushed to the old connection.
  core_.on_answer(open, now_);
  const auto wait = sent();
  ASSERT_THAT(wait, SizeIs(1));
  EXPECT_THAT(ids_of(wait[0]), ElementsAre(id(3)));
}

TEST_F(CoreTest, ATaskThatANewMainDoesNotKnowIsLost) {
  connect();
  core_.await({id(1), id(2)}, now_);
  const auto wait = sent();
  ASSERT_THAT(wait, SizeIs(1));
  EXPECT_TRUE(core_.on_answer(wait[0].correlation, now_).has_value());
  core_.on_waiting({id(2)});
  EXPECT_THAT(core_.take_lost(), ElementsAre(id(2)));
  EXPECT_FALSE(core_.has_lost());
  EXPECT_TRUE(core_.on_result(id(1)));
  EXPECT_FALSE(core_.on_result(id(1))) << "a result counts once";
  EXPECT_FALSE(core_.on_result(id(2)));
}

TEST_F(CoreTest, AwaitingTwiceAsksOnceAndForgetTellsMain) {
  connect();
  core_.await({id(1)}, now_);
  core_.await({id(1)}, now_);
  EXPECT_THAT(types(), ElementsAre(MessageType::Wait));
  core_.forget({id(1), id(9)}, now_);
  const auto forget = sent();
  ASSERT_THAT(forget, SizeIs(1));
  EXPECT_EQ(forget[0].type, MessageType::Forget);
  EXPECT_THAT(ids_of(forget[0]), ElementsAre(id(1)));
  EXPECT_FALSE(core_.on_result(id(1)));
}

TEST_F(CoreTest, ManyIdsAreAskedForInPartsWithinTheLimit) {
  connect();
  std::vector<TaskId> many;
  for (std::uint64_t i = 1; i <= 25'000; ++i) many.push_back(id(i));
  core_.await(many, now_);
  std::size_t count = 0;
  for (const Sent& one : sent()) count += ids_of(one).size();
  EXPECT_EQ(count, many.size());
}

TEST_F(CoreTest, ADeadlineEndsTheRequest) {
  connect();
  ask(10s);
  submit({id(1)}, 20s);
  pass(9s);
  EXPECT_FALSE(core_.has_failed());
  EXPECT_LE(core_.next_time(), now_ + 1s);
  core_.on_heard(now_);
  pass(1s);
  auto failed = core_.take_failed();
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].error.code, ErrorCode::TimedOut);
  core_.on_heard(now_);
  pass(10s);
  failed = core_.take_failed();
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(core_.awaited(), 0u);
}

TEST_F(CoreTest, WhileMainIsAwayTheDeadlineSaysSo) {
  sent();
  ask(1s);
  pass(1s);
  const auto failed = core_.take_failed();
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].error.code, ErrorCode::Unreachable);
}

TEST_F(CoreTest, BusyIsRepeatedNotBeforeTheTimeNamed) {
  connect();
  const std::uint64_t correlation = submit({id(1)});
  const auto before = sent();
  error(correlation, ErrorCode::Busy, 2s);
  EXPECT_FALSE(core_.has_failed());
  pass(1999ms);
  for (const Sent& one : sent()) EXPECT_NE(one.type, MessageType::Submit);
  EXPECT_LE(core_.next_time(), now_ + 501ms);
  pass(501ms);
  std::vector<std::string> frames;
  for (const Sent& one : sent()) {
    if (one.type == MessageType::Submit) frames.push_back(one.frame);
  }
  EXPECT_THAT(frames, ElementsAre(before[0].frame));
}

TEST_F(CoreTest, BusyToTheEndSaysBusy) {
  connect();
  const std::uint64_t correlation = submit({id(1)}, 3s);
  error(correlation, ErrorCode::Busy, 10s);
  pass(3s);
  const auto failed = core_.take_failed();
  ASSERT_THAT(failed, SizeIs(1));
  EXPECT_EQ(failed[0].error.code, ErrorCode::Busy);
}

TEST_F(CoreTest, ASleeperIsSentWithTheOthersOnANewConnectionOnlyWhenItWakes) {
  connect();
  const std::uint64_t first = submit({id(1)});
  const std::uint64_t second = ask();
  sent();
  error(first, ErrorCode::Busy, 5s);
  error(second, ErrorCode::HelloRequired);
  welcome(sent().at(0).correlation);
  EXPECT_THAT(types(), ElementsAre(MessageType::Stats));
}

TEST_F(CoreTest, SilenceIsAskedIntoAndThenTheConnectionIsMadeAnew) {
  connect();
  core_.await({id(1)}, now_);
  core_.on_answer(sent().at(0).correlation, now_);
  pass(4s);
  EXPECT_THAT(types(), IsEmpty());
  pass(1s);
  EXPECT_THAT(types(), ElementsAre(MessageType::Heartbeat));
  pass(4s);
  EXPECT_THAT(types(), IsEmpty()) << "one heartbeat an interval";
  pass(6s);
  EXPECT_THAT(types(), IsEmpty());
  EXPECT_FALSE(core_.ready());
  pass(100ms);
  EXPECT_TRUE(core_.take_reconnect());
  EXPECT_FALSE(core_.take_reconnect());
  const auto hello = sent();
  ASSERT_THAT(hello, SizeIs(1));
  EXPECT_EQ(hello[0].type, MessageType::Hello);
  welcome(hello[0].correlation, 2);
  EXPECT_THAT(types(), ElementsAre(MessageType::Wait));
}

TEST_F(CoreTest, AnUnansweredRequestIsAskedIntoSooner) {
  connect();
  ask();
  sent();
  pass(1s);
  EXPECT_THAT(types(), ElementsAre(MessageType::Heartbeat));
}

TEST_F(CoreTest, AnIdleClientIsSilentForever) {
  connect();
  EXPECT_EQ(core_.next_time(), TimePoint::max());
  pass(24h);
  EXPECT_THAT(types(), IsEmpty());
  ask();
  EXPECT_THAT(types(), ElementsAre(MessageType::Stats)) << "silence counts from when something is owed";
  pass(10ms);
  EXPECT_TRUE(core_.ready());
}

TEST_F(CoreTest, BackOffGrowsToFiveSecondsAndStaysThere) {
  sent();
  ask(24h);
  Duration longest{};
  for (int i = 0; i < 50; ++i) {
    while (!core_.take_reconnect()) {
      const TimePoint next = core_.next_time();
      ASSERT_LE(next, now_ + 5s);
      longest = std::max(longest, next - now_);
      pass(std::max(next - now_, Duration(1)));
    }
  }
  EXPECT_GT(longest, 3s);
}

TEST_F(CoreTest, ARefusedHelloFailsEverythingNowAndLater) {
  const auto hello = sent();
  ask();
  error(hello[0].correlation, ErrorCode::UnsupportedVersion);
  ASSERT_TRUE(core_.refused().has_value());
  EXPECT_THAT(core_.take_failed(), SizeIs(1));
  ask();
  EXPECT_THAT(core_.take_failed(), SizeIs(1));
  EXPECT_EQ(core_.outstanding(), 0u);
}

TEST_F(CoreTest, OneSeedIsOneRun) {
  const auto run = [this] {
    Core core({"x", InstanceId(1, 1)}, 9, now_);
    TimePoint now = now_;
    std::vector<TimePoint> times;
    for (int i = 0; i < 20; ++i) {
      now = core.next_time();
      times.push_back(now);
      core.on_time(now);
    }
    return times;
  };
  EXPECT_EQ(run(), run());
}

TEST(IdSet, IsAsASetUnderRandomUse) {
  IdSet ours;
  std::set<TaskId> theirs;
  Rng rng(3);
  for (int i = 0; i < 200'000; ++i) {
    const TaskId one = id(1 + rng.below(500));
    if (rng.below(2) == 0) {
      EXPECT_EQ(ours.insert(one), theirs.insert(one).second);
    } else {
      EXPECT_EQ(ours.erase(one), theirs.erase(one) > 0);
    }
    ASSERT_EQ(ours.size(), theirs.size());
  }
  std::set<TaskId> all;
  ours.each([&](const TaskId& one) { all.insert(one); });
  EXPECT_EQ(all, theirs);
  EXPECT_FALSE(ours.insert(TaskId()));
  EXPECT_FALSE(ours.contains(id(501)));
}

}  // namespace
}  // namespace retire::client
