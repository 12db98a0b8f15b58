#include "common/json/report_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/protocol/codec.hpp"

namespace retire::json {
namespace {

using testing::ElementsAre;

const TaskId kId = *TaskId::parse("123e4567-e89b-42d3-a456-426614174000");
constexpr WallTime at(std::int64_t microseconds) { return WallTime(Duration(1'700'000'000'000'000 + microseconds)); }

std::vector<std::string> keys(const Json& object) {
  std::vector<std::string> out;
  for (const auto& [key, value] : object.items()) out.push_back(key);
  return out;
}

// A body, as main would send it.
ByteView body_of(const std::string& frame) {
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  EXPECT_TRUE(envelope.ok());
  return envelope.value().body;
}

struct TaskFrame {
  TaskSpec spec{"echo", Priority::High, {}, "g"};
  std::vector<AttemptError> history;
  TaskReport report;
  std::string frame;
  Tasks tasks;
  ByteView map() {
    report.id = kId;
    report.spec = &spec;
    report.error_history = &history;
    protocol::encode_tasks(frame, 1, {report}, std::nullopt);
    EXPECT_TRUE(protocol::decode(body_of(frame), tasks).ok());
    return tasks.tasks.at(0);
  }
};

TEST(TaskDocument, OfAQueuedTask) {
  TaskFrame task;
  task.report.payload = "\x81\xa1k\x01";
  task.report.reason = "no_handler";
  task.report.created_at = at(1);
  const Result<Json> out = task_document(task.map());
  ASSERT_TRUE(out.ok()) << out.error().detail;
  const Json& json = out.value();
  EXPECT_THAT(keys(json), ElementsAre("task_id", "task_type", "payload", "priority", "requirements", "metadata",
                                      "group", "status", "reason", "created_at", "assigned_device_id", "assigned_at",
                                      "started_at", "completed_at", "retry_count", "error_history", "result"));
  EXPECT_EQ(json["task_id"], kId.text());
  EXPECT_EQ(json["payload"], Json::parse(R"({"k":1})"));
  EXPECT_EQ(json["priority"], "high");
  EXPECT_EQ(json["requirements"]["timeout_seconds"], 300);
  EXPECT_EQ(json["metadata"], Json::object());
  EXPECT_EQ(json["status"], "queued");
  EXPECT_EQ(json["reason"], "no_handler");
  EXPECT_EQ(json["created_at"], "2023-11-14T22:13:20.000001Z");
  EXPECT_TRUE(json["started_at"].is_null());
  EXPECT_TRUE(json["result"].is_null());
}

TEST(TaskDocument, OfAFailedTask) {
  TaskFrame task;
  task.history = {{1, "laptop", Outcome::Crashed, false, "signal 9", at(5)},
                  {2, "nas", Outcome::Failed, true, "", at(6)}};
  task.report.status = TaskStatus::Failed;
  task.report.device_id = "laptop";
  task.report.started_at = at(2);
  task.report.completed_at = at(9);
  task.report.has_result = true;
  task.report.error_message = "no";
  task.report.plugin = "reader 2 sha256:0f";
  task.report.run = Duration(1'500'000);
  const std::string logs = protocol::encode_log_lines({{LogLevel::Warning, 250'000, "careful"}});
  task.report.logs = logs;
  const Result<Json> out = task_document(task.map());
  ASSERT_TRUE(out.ok()) << out.error().detail;
  const Json& json = out.value();
  EXPECT_TRUE(json["payload"].is_null());
  EXPECT_EQ(json["error_history"][0]["outcome"], "crashed");
  EXPECT_EQ(json["error_history"][0]["at"], "2023-11-14T22:13:20.000005Z");
  EXPECT_EQ(json["error_history"][1]["outcome"], "device_lost");
  const Json& result = json["result"];
  EXPECT_THAT(keys(result), ElementsAre("task_id", "status", "result_data", "error_message", "error_traceback",
                                        "execution_time_seconds", "worker_device_id", "started_at", "completed_at",
                                        "logs", "plugin"));
  EXPECT_EQ(result["status"], "failed");
  EXPECT_TRUE(result["result_data"].is_null());
  EXPECT_EQ(result["error_message"], "no");
  EXPECT_TRUE(result["error_traceback"].is_null());
  EXPECT_EQ(result["execution_time_seconds"], 1.5);
  EXPECT_EQ(result["worker_device_id"], "laptop");
  EXPECT_EQ(result["plugin"], "reader 2 sha256:0f");
  EXPECT_EQ(result["completed_at"], "2023-11-14T22:13:20.000009Z");
  EXPECT_EQ(result["logs"], Json::parse(R"([{"time":0.25,"level":"warning","message":"careful"}])"));
}

TEST(TaskDocument, APayloadThatIsNoMsgpackIsShownAsBase64) {
  TaskFrame task;
  task.report.payload = "\xc1";
  EXPECT_EQ(task_document(task.map()).value()["payload"], Json::parse(R"({"base64":"wQ=="})"));
}

TEST(TaskDocument, RefusesWhatIsNoTask) {
  for (const std::string& bytes : {std::string("\xc0"), std::string("\x81\x01\x02"), std::string("\x81\xa7task_id\x01"),
                                   std::string("\x81"), std::string("")}) {
    EXPECT_FALSE(task_document(bytes).ok());
  }
}

TEST(ResultDocument, HasTheSameKeysAsThatOfATask) {
  ResultItem item;
  item.id = kId;
  item.data = "\x91\x01";
  item.completed_at = at(0);
  item.run = Duration(1);
  const Json json = result_document(item, "nas");
  EXPECT_EQ(to_text(json),
            R"({"task_id":"123e4567-e89b-42d3-a456-426614174000","status":"success","result_data":[1],)"
            R"("error_message":null,"error_traceback":null,"execution_time_seconds":1e-06,"worker_device_id":"nas",)"
            R"("started_at":null,"completed_at":"2023-11-14T22:13:20.000000Z","logs":[],"plugin":null})");
  item.plugin = "echo 1 sha256:00";
  EXPECT_EQ(result_document(item, "nas")["plugin"], "echo 1 sha256:00");
}

TEST(DeviceDocument, ShowsWhenItWasSeen) {
  Capabilities capabilities;
  capabilities.device_id = "nas";
  DeviceReport report;
  report.capabilities = &capabilities;
  report.state = "online";
  report.last_seen = at(7);
  std::string frame;
  protocol::encode(frame, 1, std::vector<DeviceReport>{report});
  Report devices;
  ASSERT_TRUE(protocol::decode_report(body_of(frame), "devices", devices).ok());
  const Result<Json> out = devices_document(devices.value);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(out.value()[0]["device_id"], "nas");
  EXPECT_EQ(out.value()[0]["state"], "online");
  EXPECT_EQ(out.value()[0]["last_seen"], "2023-11-14T22:13:20.000007Z");
  EXPECT_FALSE(devices_document("\x80").ok());
  EXPECT_FALSE(device_document("\x90").ok());
}

TEST(ExplanationDocument, GivesValuesNotTexts) {
  Explanation explanation;
  explanation.id = kId;
  explanation.reason = "no_device";
  explanation.position = 3;
  explanation.devices = {
      {"nas", "unmet", {{"min_memory_gb", "64", "15.6"}, {"required_role", "\"x\"", "not json"}}, ""}};
  std::string frame;
  protocol::encode(frame, 1, explanation);
  Report report;
  ASSERT_TRUE(protocol::decode_report(body_of(frame), "explanation", report).ok());
  const Result<Json> out = explanation_document(report.value);
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(to_text(out.value()["devices"][0]["unmet"]),
            R"([{"requirement":"min_memory_gb","wanted":64,"has":15.6},)"
            R"({"requirement":"required_role","wanted":"x","has":"not json"}])");
  EXPECT_EQ(out.value()["position"], 3);
  EXPECT_FALSE(explanation_document("\x01").ok());
}

TEST(StatisticsDocument, IsAsMainSaysIt) {
  ClusterStatistics statistics;
  statistics.total_tasks = 5;
  std::string frame;
  protocol::encode(frame, 1, statistics);
  Report report;
  ASSERT_TRUE(protocol::decode_report(body_of(frame), "statistics", report).ok());
  const Result<Json> out = statistics_document(report.value);
  ASSERT_TRUE(out.ok());
  EXPECT_THAT(keys(out.value()), ElementsAre("cluster_stats", "queue_stats", "scheduler_stats", "device_stats"));
  EXPECT_EQ(out.value()["queue_stats"]["total_tasks"], 5);
  EXPECT_FALSE(statistics_document("\xc0").ok());
}

}  // namespace
}  // namespace retire::json
