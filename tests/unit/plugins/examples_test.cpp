// The example plugins, after they were built out of the tree.
#include <gtest/gtest.h>

#include "plugins/loader/loaded_plugin.hpp"
#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire {
namespace {

using nlohmann::json;
using test::FakeAttempt;

const rc_setup kSetup{sizeof(rc_setup), {nullptr, 0}, {nullptr, 0}};

HandlerInstance make(const std::string& plugin, const std::string& handler) {
  const Result<LoadedPlugin> loaded =
      LoadedPlugin::open(std::string(RC_EXAMPLES_DIR) + "/" + plugin + "/" + plugin + ".so");
  EXPECT_TRUE(loaded.ok()) << loaded.error().detail;
  return loaded.value().make(handler, kSetup).value();
}

int run(HandlerInstance& instance, const json& payload, FakeAttempt& attempt) {
  return instance.run(test::as_bytes(test::to_msgpack(payload)), attempt.context());
}

TEST(Examples, TheOneOfTheDocument) {
  HandlerInstance greeter = make("greeter", "greet");
  FakeAttempt attempt;
  EXPECT_EQ(run(greeter, {{"name", "Ada"}}, attempt), RC_OK);
  EXPECT_EQ(attempt.result_json(), json({{"greeting", "Hello, Ada"}}));
}

TEST(Examples, WordCount) {
  HandlerInstance counter = make("wordcount", "word_count");
  FakeAttempt attempt;
  EXPECT_EQ(run(counter, {{"text", "to be or not to be"}}, attempt), RC_OK);
  EXPECT_EQ(attempt.result_json(), json({{"to", 2}, {"be", 2}, {"or", 1}, {"not", 1}}));
  EXPECT_EQ(run(counter, {{"txt", "x"}}, attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "field \"txt\" is not known; known are text");
}

TEST(Examples, SlowCount) {
  HandlerInstance counter = make("wordcount", "slow_count");
  FakeAttempt attempt;
  EXPECT_EQ(run(counter, {{"to", 4}, {"delay", 0}}, attempt), RC_OK);
  EXPECT_EQ(attempt.result_json(), json({{"counted", 4}, {"attempts_here", 1}}));
  EXPECT_EQ(attempt.progress.size(), 4u);
  EXPECT_EQ(attempt.log_lines, std::vector<std::string>{"counted to 4"});
  EXPECT_EQ(run(counter, {{"to", 0}}, attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "field \"to\" must be at least 1, got 0");
  attempt.cancel();
  EXPECT_EQ(run(counter, {{"to", 4}}, attempt), RC_CANCELLED);

  FakeAttempt first;
  EXPECT_EQ(run(counter, {{"to", 3}, {"delay", 0}}, first), RC_OK);
  FakeAttempt second;
  second.hand(first.checkpoint);
  EXPECT_EQ(run(counter, {{"to", 5}, {"delay", 0}}, second), RC_OK);
  EXPECT_EQ(second.log_lines.front(), "going on from 3");
  EXPECT_EQ(second.progress.size(), 2u);
}

TEST(Examples, PlainC) {
  HandlerInstance upper = make("c_upper", "c_upper");
  FakeAttempt attempt;
  for (const std::size_t size : {0u, 5u, 40u, 300u, 70000u}) {
    EXPECT_EQ(run(upper, std::string(size, 'a'), attempt), RC_OK);
    EXPECT_EQ(attempt.result_json(), std::string(size, 'A'));
  }
  EXPECT_GT(attempt.progress.size(), 17u);
  EXPECT_EQ(run(upper, 5, attempt), RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "payload must be a string");
}

}  // namespace
}  // namespace retire
