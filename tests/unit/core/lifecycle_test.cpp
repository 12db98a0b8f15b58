// One task from its submission to its end.
#include "tests/unit/core/cluster.hpp"

namespace retire::core::testing {
namespace {

Requirements retries(std::uint32_t count) {
  Requirements out;
  out.max_retries = count;
  return out;
}

TEST(Lifecycle, SuccessGoesThroughEveryStatus) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  EXPECT_EQ(cluster.status(task), TaskStatus::Assigned);
  cluster.start(task);
  EXPECT_EQ(cluster.status(task), TaskStatus::Running);
  cluster.finish(task);
  EXPECT_EQ(cluster.status(task), TaskStatus::Success);
  EXPECT_EQ(cluster.ended, std::vector{task});
  const TaskReport report = cluster.report(task);
  EXPECT_EQ(report.result_data, "r");
  EXPECT_EQ(report.device_id, "a");
  EXPECT_EQ(report.run, 1s);
  EXPECT_EQ(report.retry_count, 0u);
}

TEST(Lifecycle, StartOfAShortTaskIsReckonedBackFromItsEnd) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.pass(5s);
  cluster.finish(task, Outcome::Success, 2s);
  EXPECT_EQ(cluster.report(task).completed_at - cluster.report(task).started_at, 2s);
}

TEST(Lifecycle, SameIdSameContentChangesNothing) {
  Cluster cluster;
  Submit batch;
  batch.specs = {spec_of("echo")};
  batch.tasks = {{TaskId(1, 1), 0, "p", "\x80"}};
  ASSERT_TRUE(std::holds_alternative<SubmitOutcome>(cluster.scheduler.submit(batch, 0, cluster.now, cluster.effects)));
  const auto again = cluster.scheduler.submit(batch, 0, cluster.now, cluster.effects);
  ASSERT_TRUE(std::holds_alternative<SubmitOutcome>(again));
  EXPECT_EQ(std::get<SubmitOutcome>(again).known, std::vector<std::uint64_t>{0});
  EXPECT_EQ(cluster.scheduler.tasks().size(), 1u);
}

TEST(Lifecycle, SameIdOtherContentIsRefusedAndTheBatchLeavesNothing) {
  for (int field = 0; field < 6; ++field) {
    SCOPED_TRACE(field);
    Cluster cluster;
    Submit first;
    first.specs = {spec_of("echo")};
    first.tasks = {{TaskId(1, 1), 0, "p", "\x80"}};
    ASSERT_TRUE(
        std::holds_alternative<SubmitOutcome>(cluster.scheduler.submit(first, 0, cluster.now, cluster.effects)));
    Submit other = first;
    if (field == 0) other.specs[0].type = "sleep";
    if (field == 1) other.specs[0].priority = Priority::High;
    if (field == 2) other.specs[0].requirements.timeout_seconds = 1;
    if (field == 3) other.specs[0].group = "g";
    if (field == 4) other.tasks[0].payload = "q";
    if (field == 5) other.tasks[0].metadata = {};
    other.tasks.insert(other.tasks.begin(), {TaskId(1, 2), 0, "new", {}});
    const auto refused = cluster.scheduler.submit(other, 0, cluster.now, cluster.effects);
    ASSERT_TRUE(std::holds_alternative<BatchError>(refused));
    EXPECT_EQ(std::get<BatchError>(refused).error.code, ErrorCode::Conflict);
    EXPECT_EQ(std::get<BatchError>(refused).index, 1u);
    EXPECT_FALSE(cluster.scheduler.find(TaskId(1, 2)));
    EXPECT_EQ(cluster.scheduler.tasks().size(), 1u);
    cluster.settle();
  }
}

TEST(Lifecycle, OneIdTwiceInABatch) {
  Cluster cluster;
  Submit batch;
  batch.specs = {spec_of("echo")};
  batch.tasks = {{TaskId(1, 1), 0, "p", {}}, {TaskId(1, 1), 0, "p", {}}};
  const auto same = cluster.scheduler.submit(batch, 0, cluster.now, cluster.effects);
  ASSERT_TRUE(std::holds_alternative<SubmitOutcome>(same));
  EXPECT_EQ(cluster.scheduler.tasks().size(), 1u);
  batch.tasks = {{TaskId(1, 2), 0, "p", {}}, {TaskId(1, 2), 0, "q", {}}};
  EXPECT_TRUE(std::holds_alternative<BatchError>(cluster.scheduler.submit(batch, 0, cluster.now, cluster.effects)));
  EXPECT_FALSE(cluster.scheduler.find(TaskId(1, 2)));
  cluster.settle();
}

TEST(Lifecycle, IdsThatMainChoosesDiffer) {
  Cluster cluster;
  Submit batch;
  batch.specs = {spec_of("echo")};
  for (int i = 0; i < 100; ++i) batch.tasks.push_back({std::nullopt, 0, "p", {}});
  const auto outcome = cluster.scheduler.submit(batch, 0, cluster.now, cluster.effects);
  EXPECT_EQ(std::get<SubmitOutcome>(outcome).tasks.size(), 100u);
  EXPECT_EQ(cluster.scheduler.tasks().size(), 100u);
}

TEST(Lifecycle, TheQueueHasALimitAndSaysSo) {
  SchedulerConfig config;
  config.waiting_tasks_max = 2;
  Cluster cluster(config);
  cluster.submit(spec_of("echo"));
  cluster.submit(spec_of("echo"));
  Submit batch;
  batch.specs = {spec_of("echo")};
  batch.tasks = {{TaskId(1, 1), 0, "p", {}}};
  const auto refused = cluster.scheduler.submit(batch, 0, cluster.now, cluster.effects);
  ASSERT_TRUE(std::holds_alternative<BatchError>(refused));
  EXPECT_EQ(std::get<BatchError>(refused).error.code, ErrorCode::Busy);
  EXPECT_TRUE(std::get<BatchError>(refused).retry_after.has_value());

  config.waiting_tasks_max = 100;
  config.waiting_bytes_max = 10;
  Cluster small(config);
  batch.tasks = {{TaskId(1, 1), 0, "12345678901", {}}};
  EXPECT_TRUE(std::holds_alternative<BatchError>(small.scheduler.submit(batch, 0, small.now, small.effects)));
}

TEST(Lifecycle, FailureIsTriedAgainAfterABackOffThatGrows) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo", Priority::Normal, retries(2)));
  cluster.finish(task, Outcome::Failed, 1s, "first");
  EXPECT_EQ(cluster.status(task), TaskStatus::Queued);
  EXPECT_EQ(cluster.reason(task), "retry_backoff");
  cluster.pass_alive(499ms);
  EXPECT_FALSE(cluster.is_sent(task)) << "the first back-off is 0.5 to 1 s";
  cluster.pass_alive(501ms);
  EXPECT_TRUE(cluster.is_sent(task));
  cluster.finish(task, Outcome::Crashed, 1s, "second");
  cluster.pass_alive(999ms);
  EXPECT_FALSE(cluster.is_sent(task)) << "the second is 1 to 2 s";
  cluster.pass_alive(1001ms);
  cluster.finish(task, Outcome::Failed, 1s, "third");
  EXPECT_EQ(cluster.status(task), TaskStatus::Failed);
  EXPECT_EQ(cluster.reason(task), "retries_exhausted");
  const TaskReport report = cluster.report(task);
  EXPECT_EQ(report.retry_count, 2u);
  ASSERT_EQ(report.error_history->size(), 3u);
  EXPECT_EQ(report.error_history->at(1).outcome, Outcome::Crashed);
  EXPECT_EQ(report.error_history->at(2).attempt, 3u);
  EXPECT_EQ(report.error_message, "third");
  EXPECT_EQ(cluster.scheduler.counters().retried, 2u);
}

TEST(Lifecycle, TimeoutsAreRetriedAndEndAsTimeout) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo", Priority::Normal, retries(1)));
  cluster.finish(task, Outcome::Timeout);
  EXPECT_EQ(cluster.status(task), TaskStatus::Queued);
  cluster.pass_alive(1s);
  cluster.finish(task, Outcome::Timeout);
  EXPECT_EQ(cluster.status(task), TaskStatus::Timeout);
}

TEST(Lifecycle, PermanentFailureIsNotTriedAgain) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.finish(task, Outcome::FailedPermanently, 1s, "field \"x\" is missing");
  EXPECT_EQ(cluster.status(task), TaskStatus::Failed);
  EXPECT_EQ(cluster.report(task).retry_count, 0u);
  EXPECT_EQ(cluster.report(task).error_message, "field \"x\" is missing");
}

TEST(Lifecycle, WhatWasHandedBackCountsForNothing) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo", Priority::Normal, retries(0)));
  cluster.finish(task, Outcome::HandedBack);
  EXPECT_EQ(cluster.status(task), TaskStatus::Queued);
  cluster.pass_alive(100ms);
  cluster.finish(task);
  EXPECT_EQ(cluster.status(task), TaskStatus::Success);
  EXPECT_TRUE(cluster.report(task).error_history == nullptr || cluster.report(task).error_history->empty());
}

TEST(Lifecycle, CancelWhileQueued) {
  Cluster cluster;
  const TaskId task = cluster.submit(spec_of("echo"));
  EXPECT_TRUE(cluster.cancel(task));
  EXPECT_EQ(cluster.status(task), TaskStatus::Cancelled);
  EXPECT_FALSE(cluster.cancel(task)) << "it is final already";
  cluster.join("a");
  EXPECT_FALSE(cluster.is_sent(task));
}

TEST(Lifecycle, CancelWhileItWaitsForItsRetry) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.finish(task, Outcome::Failed);
  EXPECT_TRUE(cluster.cancel(task));
  cluster.pass_alive(2s);
  EXPECT_FALSE(cluster.is_sent(task));
  EXPECT_EQ(cluster.status(task), TaskStatus::Cancelled);
}

TEST(Lifecycle, CancelWhileRunningFreesTheSlotWhenTheDeviceSaysSo) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  const TaskId next = cluster.submit(spec_of("echo"));
  cluster.start(task);
  EXPECT_TRUE(cluster.cancel(task));
  EXPECT_EQ(cluster.status(task), TaskStatus::Cancelled);
  EXPECT_EQ(cluster.stopped.size(), 1u);
  EXPECT_FALSE(cluster.is_sent(next)) << "its slot is busy until the handler is gone";
  cluster.finish(task, Outcome::Cancelled);
  EXPECT_TRUE(cluster.is_sent(next));
  EXPECT_EQ(cluster.status(task), TaskStatus::Cancelled);
}

TEST(Lifecycle, AResultThatCrossesACancelIsDropped) {
  Cluster cluster;
  cluster.join("a");
  const TaskId task = cluster.submit(spec_of("echo"));
  cluster.cancel(task);
  cluster.finish(task, Outcome::Success);
  EXPECT_EQ(cluster.status(task), TaskStatus::Cancelled);
  EXPECT_EQ(cluster.ended.size(), 1u);
}

TEST(Lifecycle, CancelOfAnUnknownTask) {
  Cluster cluster;
  EXPECT_FALSE(cluster.scheduler.cancel(TaskId(9, 9), cluster.now, cluster.effects).has_value());
}

TEST(Lifecycle, ResultsThatNobodyWaitsForAreDropped) {
  Cluster cluster;
  cluster.join("a");
  cluster.join("b");
  const TaskId task = cluster.submit(spec_of("echo"));
  const Sent sent = cluster.take(task);
  Sent wrong = sent;
  wrong.attempt = AttemptId(sent.attempt.value() + 1);
  cluster.finish(wrong, Outcome::Success);
  wrong = sent;
  wrong.task = TaskId(9, 9);
  cluster.finish(wrong, Outcome::Success);
  wrong = sent;
  wrong.device = sent.device == "a" ? "b" : "a";
  cluster.finish(wrong, Outcome::Success);
  EXPECT_EQ(cluster.status(task), TaskStatus::Assigned);
  EXPECT_EQ(cluster.scheduler.counters().results_stale, 3u);
  cluster.finish(sent, Outcome::Success);
  cluster.finish(sent, Outcome::Failed);
  EXPECT_EQ(cluster.status(task), TaskStatus::Success);
  EXPECT_EQ(cluster.scheduler.counters().results_stale, 4u);
}

TEST(Lifecycle, AtMostOnceIsNotTriedAgain) {
  Requirements once;
  once.at_most_once = true;
  Cluster cluster;
  cluster.join("a");
  const TaskId failed = cluster.submit(spec_of("echo", Priority::Normal, once));
  cluster.finish(failed, Outcome::Failed);
  EXPECT_EQ(cluster.status(failed), TaskStatus::Failed);

  const TaskId lost = cluster.submit(spec_of("echo", Priority::Normal, once));
  for (int i = 0; i < 9; ++i) cluster.pass(4s);
  EXPECT_EQ(cluster.status(lost), TaskStatus::Failed);
  EXPECT_EQ(cluster.reason(lost), "device_lost");
}

TEST(Lifecycle, FinishedTasksAreForgottenByCountAgeAndBytes) {
  SchedulerConfig config;
  config.history_tasks_max = 3;
  Cluster by_count(config);
  by_count.join("a");
  std::vector<TaskId> tasks;
  for (int i = 0; i < 5; ++i) {
    tasks.push_back(by_count.submit(spec_of("echo")));
    by_count.finish(tasks.back());
    by_count.pass_alive(1s);
  }
  EXPECT_FALSE(by_count.scheduler.find(tasks[0]));
  EXPECT_FALSE(by_count.scheduler.find(tasks[1]));
  EXPECT_TRUE(by_count.scheduler.find(tasks[2]));

  config = {};
  config.history_age_max = 10s;
  Cluster by_age(config);
  by_age.join("a");
  const TaskId old = by_age.submit(spec_of("echo"));
  by_age.finish(old);
  by_age.pass_alive(9s);
  EXPECT_TRUE(by_age.scheduler.find(old));
  by_age.pass_alive(2s);
  EXPECT_FALSE(by_age.scheduler.find(old));
  EXPECT_EQ(by_age.scheduler.statistics(by_age.now).total_tasks, 0u);

  config = {};
  config.history_bytes_max = 10'000;
  Cluster by_bytes(config);
  by_bytes.join("a");
  const TaskId big = by_bytes.submit(spec_of("echo"), std::string(9'000, 'x'));
  by_bytes.finish(big);
  by_bytes.pass_alive(1s);
  EXPECT_TRUE(by_bytes.scheduler.find(big));
  by_bytes.finish(by_bytes.submit(spec_of("echo"), std::string(9'000, 'x')));
  by_bytes.pass_alive(1s);
  EXPECT_FALSE(by_bytes.scheduler.find(big));
}

TEST(Lifecycle, StatisticsCountWhatIsKept) {
  Cluster cluster;
  cluster.join("a", 2);
  const TaskId done = cluster.submit(spec_of("echo", Priority::High));
  cluster.finish(done);
  cluster.submit(spec_of("echo"));
  cluster.submit(spec_of("fold", Priority::Low));
  const ClusterStatistics s = cluster.scheduler.statistics(cluster.now);
  EXPECT_EQ(s.total_tasks, 3u);
  EXPECT_EQ(s.by_status[static_cast<std::size_t>(TaskStatus::Success)], 1u);
  EXPECT_EQ(s.by_status[static_cast<std::size_t>(TaskStatus::Assigned)], 1u);
  EXPECT_EQ(s.by_status[static_cast<std::size_t>(TaskStatus::Queued)], 1u);
  EXPECT_EQ(s.by_priority[3], 1u);
  EXPECT_EQ(s.by_type.at("echo"), 2u);
  EXPECT_EQ(s.by_type.at("fold"), 1u);
  EXPECT_EQ(s.by_device.at("a"), 2u);
  EXPECT_EQ(s.total_capacity, 2u);
  EXPECT_EQ(s.total_load, 1u);
  EXPECT_EQ(s.tasks_scheduled, 2u);
  EXPECT_EQ(s.tasks_completed, 1u);
}

TEST(Lifecycle, ListPagesFromTheNewest) {
  Cluster cluster;
  std::vector<TaskId> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(cluster.submit(spec_of(i == 2 ? "fold" : "echo")));
  List request;
  request.limit = 2;
  std::optional<std::uint64_t> cursor;
  std::vector<TaskId> seen;
  do {
    for (const TaskIndex task : cluster.scheduler.list(request, cursor))
      seen.push_back(cluster.scheduler.task(task).id);
    request.cursor = cursor;
  } while (cursor);
  std::reverse(seen.begin(), seen.end());
  EXPECT_EQ(seen, tasks);

  request = {};
  request.type = "fold";
  ASSERT_EQ(cluster.scheduler.list(request, cursor).size(), 1u);
  request = {};
  request.status = TaskStatus::Success;
  EXPECT_TRUE(cluster.scheduler.list(request, cursor).empty());
}

}  // namespace
}  // namespace retire::core::testing
