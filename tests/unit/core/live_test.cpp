// What attempts tell before they end: progress, log lines, checkpoints.
#include <gtest/gtest.h>

#include "common/model/limits.hpp"
#include "tests/unit/core/cluster.hpp"

namespace retire::core::testing {
namespace {

std::vector<LogLine> lines_of(const std::vector<std::string>& texts) {
  std::vector<LogLine> out;
  for (const std::string& text : texts) out.push_back({LogLevel::Info, 5, text});
  return out;
}

std::vector<std::string> texts_of(const LogPart& part) {
  std::vector<std::string> out;
  for (const LogLine& line : part.lines) out.push_back(line.text);
  return out;
}

using Texts = std::vector<std::string>;

class LiveTest : public ::testing::Test {
 protected:
  void tell(const TaskId& task, std::optional<double> fraction, const std::string& text = "", std::uint64_t first = 0,
            const Texts& lines = {}, const std::string& checkpoint = "") {
    tell(*cluster.find_sent(task), fraction, text, first, lines, checkpoint);
  }
  void tell(const Sent& to, std::optional<double> fraction, const std::string& text = "", std::uint64_t first = 0,
            const Texts& lines = {}, const std::string& checkpoint = "") {
    ProgressItem item;
    item.attempt = to.attempt;
    item.fraction = fraction;
    item.text = text;
    item.first_line = first;
    item.checkpoint = checkpoint;
    cluster.scheduler.progress(cluster.scheduler.find_device(to.device), item, lines_of(lines), cluster.now);
  }
  LogPart log(const TaskId& task, std::uint64_t cursor = 0) {
    return cluster.scheduler.log_after(cluster.scheduler.find(task), cursor, 1 << 20);
  }
  std::string checkpoint(const TaskId& task) {
    return std::string(cluster.scheduler.checkpoint(cluster.scheduler.find(task)));
  }

  Cluster cluster;
};

TEST_F(LiveTest, ProgressIsThatOfTheCurrentAttempt) {
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  EXPECT_FALSE(cluster.report(task).has_progress);
  tell(task, 0.25, "page 1");
  const TaskReport report = cluster.report(task);
  EXPECT_TRUE(report.has_progress);
  EXPECT_EQ(report.progress_fraction, 0.25);
  EXPECT_EQ(report.progress_text, "page 1");
  EXPECT_EQ(report.progress_at, cluster.now.wall);

  cluster.finish(task, Outcome::Failed);
  EXPECT_FALSE(cluster.report(task).has_progress) << "nothing runs";
  cluster.pass_alive(2s);
  ASSERT_TRUE(cluster.is_sent(task));
  EXPECT_FALSE(cluster.report(task).has_progress) << "the new attempt has told nothing";
  tell(task, 0.125);
  EXPECT_EQ(cluster.report(task).progress_fraction, 0.125);
}

TEST_F(LiveTest, AFinalTaskKeepsNothing) {
  cluster.join("a", 2);
  const TaskId done = cluster.submit(spec_of("echo"));
  const TaskId cancelled = cluster.submit(spec_of("echo"));
  tell(done, 0.5, "x", 0, {"line"}, "c");
  tell(cancelled, 0.5, "x", 0, {"line"}, "c");
  EXPECT_EQ(cluster.scheduler.live().size(), 2u);
  const Sent late = *cluster.find_sent(cancelled);
  cluster.finish(done);
  cluster.cancel(cancelled);
  EXPECT_EQ(cluster.scheduler.live().size(), 0u);
  EXPECT_EQ(cluster.scheduler.live().log_bytes(), 0u);
  EXPECT_EQ(cluster.scheduler.live().checkpoint_bytes(), 0u);
  tell(late, 0.75, "still here", 1, {"line"}, "d");
  EXPECT_EQ(cluster.scheduler.live().size(), 0u) << "nobody wants to hear of it";
  EXPECT_EQ(cluster.scheduler.last_attempt(cluster.scheduler.find(done)), 1u);
}

TEST_F(LiveTest, WhatIsTakenBackByCommandBeginsAnew) {
  cluster.join("a");
  Requirements once;
  once.max_retries = 0;
  const TaskId task = cluster.submit(spec_of("echo", Priority::Normal, once));
  tell(task, 0.5, "", 0, {}, "old");
  cluster.finish(task, Outcome::Failed);
  EXPECT_EQ(cluster.scheduler.last_attempt(cluster.scheduler.find(task)), 1u);
  EXPECT_TRUE(cluster.scheduler.retry(task, cluster.now, cluster.effects).value_or(false));
  cluster.settle();
  EXPECT_EQ(checkpoint(task), "");
}

TEST_F(LiveTest, TheLatestCheckpointIsKeptOverRetryAndLoss) {
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  tell(task, std::nullopt, "", 0, {}, "one");
  tell(task, 0.5);
  EXPECT_EQ(checkpoint(task), "one") << "a progress without one changes nothing";
  tell(task, std::nullopt, "", 0, {}, "two");
  const Sent first = cluster.take(task);
  cluster.finish(first, Outcome::Failed);
  EXPECT_EQ(checkpoint(task), "two");
  cluster.pass_alive(2s);
  ASSERT_TRUE(cluster.is_sent(task));
  EXPECT_EQ(checkpoint(task), "two");
  EXPECT_EQ(cluster.report(task).checkpoint, "two");

  // Its device falls silent; what it says when it is back is of an attempt that is not current.
  const Sent lost = cluster.take(task);
  for (int i = 0; i < 20 && cluster.lost.empty(); ++i) cluster.pass(3s);  // in steps: a leap would be main's own
  ASSERT_EQ(cluster.lost, std::vector<std::string>{"a"});
  cluster.join("b");
  EXPECT_EQ(cluster.device_with(task), "b");
  tell(lost, 0.75, "", 0, {}, "three");
  EXPECT_EQ(checkpoint(task), "two");
  tell(task, 0.9, "", 0, {}, "four");
  EXPECT_EQ(checkpoint(task), "four");
}

TEST_F(LiveTest, AnotherDevicesAttemptIsNotTouched) {
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.join("b");
  Sent forged = *cluster.find_sent(task);
  ASSERT_EQ(forged.device, "a");
  forged.device = "b";
  tell(forged, 0.5, "", 0, {"line"}, "c");
  EXPECT_EQ(cluster.scheduler.live().size(), 0u);
}

TEST_F(LiveTest, ALogIsReadFromWhereOneLeftOff) {
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  EXPECT_EQ(log(task).attempt, 0u);
  tell(task, std::nullopt, "", 0, {"a", "b"});
  const LogPart first = log(task);
  EXPECT_EQ(first.attempt, 1u);
  EXPECT_EQ(texts_of(first), (Texts{"a", "b"}));
  EXPECT_EQ(texts_of(log(task, first.next)), Texts{});
  tell(task, std::nullopt, "", 1, {"b", "c"});
  const LogPart second = log(task, first.next);
  EXPECT_EQ(texts_of(second), Texts{"c"}) << "what was told twice is there once";
  tell(task, std::nullopt, "", 6, {"g"});
  const LogPart third = log(task, second.next);
  EXPECT_EQ(texts_of(third), Texts{"g"});
  EXPECT_EQ(third.missed, 3u);
  EXPECT_EQ(log(task).missed, 3u);
}

TEST_F(LiveTest, TheNextAttemptBeginsALogOfItsOwn) {
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  tell(task, std::nullopt, "", 0, {"first", "first again"});
  const LogPart before = log(task);
  cluster.finish(task, Outcome::Failed);
  EXPECT_EQ(texts_of(log(task)), (Texts{"first", "first again"})) << "until the next one says something";
  cluster.pass_alive(2s);
  tell(task, std::nullopt, "", 0, {"second"});
  const LogPart after = log(task, before.next);
  EXPECT_EQ(after.attempt, 2u);
  EXPECT_EQ(texts_of(after), Texts{"second"});
}

TEST_F(LiveTest, LinesBeyondWhatALogMayHoldAreNone) {
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  tell(task, std::nullopt, "", UINT32_MAX, {"far"});
  EXPECT_EQ(texts_of(log(task)), Texts{});
  tell(task, std::nullopt, "", kLogLinesMax - 1, {"last", "beyond"});
  EXPECT_EQ(texts_of(log(task)), Texts{"last"});
}

TEST(Live, AFloodOfLinesKeepsTheLatest) {
  SchedulerConfig config;
  config.live.task_log_bytes_max = 4'096;
  LiveTable table(config.live);
  ProgressItem item;
  for (std::uint64_t i = 0; i < 5'000; ++i) {
    item.first_line = i;
    table.tell({1}, 1, item, lines_of({std::string(100, 'x')}), {});
    ASSERT_LE(table.log_bytes(), 4'096u);
  }
  const LogPart part = table.log_after({1}, 0, 1 << 20);
  EXPECT_EQ(part.lines.size() + part.missed, 5'000u);
  EXPECT_GT(part.lines.size(), 10u);
  table.check_invariants();
}

TEST(Live, AllTasksTogetherAreBounded) {
  LiveLimits limits;
  limits.log_bytes_max = 10'000;
  limits.checkpoint_bytes_max = 1'000;
  LiveTable table(limits);
  ProgressItem item;
  item.fraction = 0.5;
  item.checkpoint = std::string_view("0123456789").substr(0, 10);
  table.tell({1}, 1, item, lines_of({"keeps its checkpoint"}), {});
  item.checkpoint = {};
  for (std::uint32_t i = 2; i < 1'000; ++i) {
    table.tell({i}, 1, item, lines_of({std::string(50, 'x')}), {});
    ASSERT_LE(table.log_bytes(), 10'000u);
  }
  EXPECT_EQ(table.find({2}), nullptr) << "told something the longest ago";
  ASSERT_NE(table.find({999}), nullptr);
  ASSERT_NE(table.find({1}), nullptr);
  EXPECT_TRUE(table.find({1})->lines.empty());
  EXPECT_EQ(table.checkpoint({1}), "0123456789");

  const std::string large(991, 'c');
  item.checkpoint = large;
  EXPECT_FALSE(table.tell({999}, 1, item, {}, {})) << "no room beside the ten";
  EXPECT_EQ(table.checkpoint({999}), "");
  EXPECT_TRUE(table.tell({1}, 1, item, {}, {})) << "in place of them there is";
  table.drop({1});
  EXPECT_TRUE(table.tell({999}, 1, item, {}, {}));
  table.check_invariants();
}

}  // namespace
}  // namespace retire::core::testing
