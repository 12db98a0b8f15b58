// What plugin.hpp makes of a handler: decoding, answers, and every way to fail.
#include <gtest/gtest.h>

#include <map>
#include <new>
#include <retire_cluster/plugin.hpp>

#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire {
namespace {

using nlohmann::json;
using test::FakeAttempt;
using test::Hosted;
namespace rc = retire_cluster;

template <class F>
constexpr rc_handler entry(F function) {
  return rc::handler("t", "", function);
}

TEST(Wrapper, PacksWhatTheHandlerReturns) {
  Hosted hosted(entry([](const msgpack::object& payload, rc::Context&) {
    return std::map<std::string, int>{{"twice", 2 * payload.as<int>()}};
  }));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run(21, attempt), RC_OK);
  EXPECT_EQ(attempt.result_json(), json({{"twice", 42}}));
}

TEST(Wrapper, GivesBytesToAHandlerThatWantsThem) {
  Hosted hosted(entry([](rc::Bytes payload, rc::Context& context) { context.result(payload); }));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run_bytes("\xff anything", attempt), RC_OK);
  EXPECT_EQ(attempt.result, "\xff anything");
}

TEST(Wrapper, CheckpointsAndScratch) {
  Hosted hosted(entry([](rc::Bytes, rc::Context& context) {
    const rc::Bytes saved = context.checkpoint();
    EXPECT_TRUE(context.save_checkpoint(std::string(saved.begin(), saved.end()) + "+"));
    context.info(context.scratch_dir());
    EXPECT_EQ(context.idempotency_key(), context.task_id());
    EXPECT_GT(context.deadline(), std::chrono::steady_clock::now());
  }));
  FakeAttempt attempt;
  attempt.scratch = "/scratch";
  attempt.hand("before");
  EXPECT_EQ(hosted.run(1, attempt), RC_OK);
  EXPECT_EQ(attempt.checkpoint, "before+");
  EXPECT_EQ(attempt.log_lines, std::vector<std::string>{"/scratch"});
  attempt.scratch.clear();
  EXPECT_EQ(hosted.run(1, attempt), RC_FAILED);
  EXPECT_EQ(attempt.error, "no scratch directory can be made here");
}

TEST(Wrapper, ATooLargeCheckpointFailsForGood) {
  Hosted hosted(entry([](rc::Bytes, rc::Context& context) {
    context.save_checkpoint(std::string(RC_CHECKPOINT_BYTES_MAX, 'c'));
    context.save_checkpoint(std::string(RC_CHECKPOINT_BYTES_MAX + 1, 'd'));
  }));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run(1, attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "the checkpoint has 1048577 bytes, over the limit of 1048576");
  EXPECT_EQ(attempt.checkpoint, std::string(RC_CHECKPOINT_BYTES_MAX, 'c'));
}

// A plugin of today in a host from before there were checkpoints.
TEST(Wrapper, AnOlderHostHasNoCheckpointsAndNoScratch) {
  Hosted hosted(entry([](rc::Bytes, rc::Context& context) {
    EXPECT_TRUE(context.checkpoint().empty());
    EXPECT_FALSE(context.save_checkpoint("x"));
    EXPECT_THROW(context.scratch_dir(), std::runtime_error);
  }));
  FakeAttempt attempt;
  attempt.scratch = "/scratch";
  attempt.hand("before");
  attempt.forget_from(offsetof(rc_context, checkpoint));
  EXPECT_EQ(hosted.run(1, attempt), RC_OK) << attempt.error;
  EXPECT_EQ(attempt.checkpoint, "");
}

TEST(Wrapper, KeepsAnInstanceBetweenAttempts) {
  struct Counter {
    int run(const msgpack::object&, rc::Context&) { return ++count; }
    int count = 0;
  };
  Hosted hosted(rc::handler<Counter>("t", ""));
  FakeAttempt attempt;
  for (int expected = 1; expected <= 3; ++expected) {
    EXPECT_EQ(hosted.run(nullptr, attempt), RC_OK);
    EXPECT_EQ(attempt.result_json(), expected);
  }
}

TEST(Wrapper, RecoversFromALargeResult) {
  Hosted hosted(
      entry([](const msgpack::object& payload, rc::Context&) { return std::string(payload.as<std::size_t>(), 'x'); }));
  FakeAttempt attempt;
  for (const std::size_t size : {3u, 3'000'000u, 5u}) {
    EXPECT_EQ(hosted.run(size, attempt), RC_OK);
    EXPECT_EQ(attempt.result_json(), std::string(size, 'x'));
  }
}

TEST(Wrapper, PassesTheContextOn) {
  Hosted hosted(entry([](const msgpack::object&, rc::Context& context) {
    context.warning("careful");
    context.progress(0.5, "half");
    return std::string(context.task_id()) + " " + std::string(context.task_type()) + " " +
           std::to_string(context.attempt());
  }));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run(nullptr, attempt), RC_OK);
  EXPECT_EQ(attempt.log_lines, std::vector<std::string>{"careful"});
  EXPECT_EQ(attempt.progress.at(0), (std::pair<double, std::string>{0.5, "half"}));
  EXPECT_EQ(attempt.result_json(), "0a0b0c0d-0000-4000-8000-000000000001 under_test 1");
}

TEST(Wrapper, AnExceptionIsAFailureWithItsType) {
  Hosted hosted(entry([](const msgpack::object&, rc::Context&) -> int { throw std::out_of_range("beyond the end"); }));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run(nullptr, attempt), RC_FAILED);
  EXPECT_EQ(attempt.error, "beyond the end");
  EXPECT_EQ(attempt.traceback, "std::out_of_range");
  EXPECT_TRUE(attempt.result.empty());
}

TEST(Wrapper, PermanentErrorsAreNotRetried) {
  Hosted hosted(entry([](const msgpack::object&, rc::Context&) -> int { throw rc::PermanentError("never"); }));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run(nullptr, attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "never");
}

TEST(Wrapper, FieldErrorsAreNotRetriedAndNameTheField) {
  Hosted hosted(
      entry([](const msgpack::object& payload, rc::Context&) { return rc::Fields(payload).number("duration"); }));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run({{"duration", "long"}}, attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "field \"duration\" must be a number, got string");
}

TEST(Wrapper, GivingUpBecauseOfCancellationIsCancelled) {
  Hosted hosted(entry([](const msgpack::object&, rc::Context& context) {
    context.throw_if_cancelled();
    return 1;
  }));
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run(nullptr, attempt), RC_OK);
  attempt.cancel();
  EXPECT_EQ(hosted.run(nullptr, attempt), RC_CANCELLED);
}

TEST(Wrapper, ForeignExceptionsStayInside) {
  Hosted number(entry([](const msgpack::object&, rc::Context&) -> int { throw 42; }));
  FakeAttempt attempt;
  EXPECT_EQ(number.run(nullptr, attempt), RC_FAILED);
  EXPECT_EQ(attempt.error, "an exception that is not a std::exception");
  Hosted memory(entry([](const msgpack::object&, rc::Context&) -> int { throw std::bad_alloc(); }));
  EXPECT_EQ(memory.run(nullptr, attempt), RC_FAILED);
  EXPECT_EQ(attempt.error, "out of memory");
}

TEST(Wrapper, PayloadsThatAreNoMsgpackFailAtOnce) {
  Hosted hosted(entry([](const msgpack::object&, rc::Context&) { return 1; }));
  const std::pair<std::string, std::string> cases[] = {
      {"", "payload: is empty, where one msgpack value was expected"},
      {std::string(1'000'000, '\x91'), "payload: is nested too deeply (more than 64 levels)"},
      {std::string("\xdd\xff\xff\xff\xff", 5), "payload: claims more values than it has bytes"},
      {"\x01\x01", "payload: has bytes after its msgpack value"},
  };
  for (const auto& [payload, message] : cases) {
    FakeAttempt attempt;
    EXPECT_EQ(hosted.run_bytes(payload, attempt), RC_FAILED_PERMANENTLY);
    EXPECT_EQ(attempt.error, message);
  }
}

TEST(Wrapper, PayloadsWithTooManyValuesFailAtOnce) {
  Hosted hosted(entry([](const msgpack::object&, rc::Context&) { return 1; }));
  const std::size_t count = rc::kItemsMax + 1;
  std::string bytes = {'\xdd', 0, '\x10', 0, 1};  // 2^20 + 1 values
  bytes.append(count, '\x01');
  FakeAttempt attempt;
  EXPECT_EQ(hosted.run_bytes(bytes, attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "payload: has too many values");
}

TEST(Wrapper, AConstructorMayRefuse) {
  struct Refuses {
    explicit Refuses(const rc::Setup& setup) {
      throw std::runtime_error("needs a GPU, has " + std::to_string(setup.device().size()) + " bytes");
    }
    int run(const msgpack::object&, rc::Context&) { return 1; }
  };
  Hosted hosted(rc::handler<Refuses>("t", ""), nullptr, json::object());
  EXPECT_FALSE(hosted.created());
  EXPECT_EQ(hosted.refusal, "needs a GPU, has 1 bytes");
}

}  // namespace
}  // namespace retire
