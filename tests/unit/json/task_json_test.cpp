#include "common/json/task_json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/model/limits.hpp"

namespace retire::json {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

TaskSpec spec_of(std::string type) {
  TaskSpec spec;
  spec.type = std::move(type);
  return spec;
}

constexpr std::string_view kId = "123e4567-e89b-42d3-a456-426614174000";

TEST(TaskJson, LeastIsAType) {
  TaskObject task;
  ASSERT_TRUE(task_from_json(R"({"task_type":"echo"})", task).ok());
  EXPECT_EQ(task.spec, spec_of("echo"));
  EXPECT_EQ(task.payload, "\x80");
  EXPECT_EQ(task.metadata, "");
  EXPECT_FALSE(task.id.has_value());
}

TEST(TaskJson, EveryFieldIsRead) {
  TaskObject task;
  const Status status = task_from_json(
      R"({"task_id":"123E4567-e89b-42d3-a456-426614174000","task_type":"echo","payload":[1],"priority":"urgent",
          "metadata":{"k":"v"},"group":"anna","requirements":{"min_cpu_cores":4,"min_memory_gb":1.5,"min_storage_gb":2,
          "gpu_required":true,"internet_required":true,"required_platform":"Linux","required_role":"compute",
          "required_tags":["b","a"],"timeout_seconds":0.5,"max_retries":1,"resources":{"licence":2},
          "min_isolation":"strict"}})",
      task);
  ASSERT_TRUE(status.ok()) << status.error().detail;
  EXPECT_EQ(task.id->text(), kId);
  EXPECT_EQ(task.spec.priority, Priority::Urgent);
  EXPECT_EQ(task.spec.group, "anna");
  EXPECT_EQ(task.payload, "\x91\x01");
  EXPECT_EQ(task.metadata, "\x81\xa1k\xa1v");
  const Requirements& r = task.spec.requirements;
  EXPECT_EQ(r.min_cpu_cores, 4u);
  EXPECT_EQ(r.min_memory_gb, 1.5);
  EXPECT_EQ(r.min_storage_gb, 2);
  EXPECT_TRUE(r.gpu_required && r.internet_required);
  EXPECT_EQ(r.required_platform, "linux");
  EXPECT_EQ(r.required_role, "compute");
  EXPECT_THAT(r.required_tags, ElementsAre("a", "b"));
  EXPECT_EQ(r.timeout_seconds, 0.5);
  EXPECT_EQ(r.max_retries, 1u);
  EXPECT_THAT(r.resources, ElementsAre(Pair("licence", 2.0)));
  EXPECT_EQ(r.min_isolation, Isolation::Strict);
}

TEST(TaskJson, NothingOfTheLastOneStays) {
  TaskObject task;
  ASSERT_TRUE(task_from_json(R"({"task_type":"a","payload":1,"priority":"low","group":"g","metadata":{"x":1},
      "requirements":{"max_retries":0},"task_id":"123e4567-e89b-42d3-a456-426614174000"})",
                             task)
                  .ok());
  ASSERT_TRUE(task_from_json(R"({"task_type":"b"})", task).ok());
  EXPECT_EQ(task.spec, spec_of("b"));
  EXPECT_FALSE(task.id.has_value());
  EXPECT_EQ(task.payload, "\x80");
  EXPECT_EQ(task.metadata, "");
}

TEST(TaskJson, NullIsLeftOutButForThePayload) {
  TaskObject task;
  ASSERT_TRUE(task_from_json(R"({"task_type":"a","payload":null,"priority":null,"group":null,"metadata":null,
      "requirements":null,"task_id":null})",
                             task)
                  .ok());
  EXPECT_EQ(task.payload, "\xc0");
  EXPECT_EQ(task.spec, spec_of("a"));
}

TEST(TaskJson, AtMostOnceImpliesNoRetries) {
  Requirements r;
  ASSERT_TRUE(requirements_from_json(R"({"at_most_once":true,"max_retries":5})", r).ok());
  EXPECT_EQ(r.max_retries, 0u);
}

struct Bad {
  const char* name;
  std::string text;
  std::vector<const char*> says;
  ErrorCode code = ErrorCode::Invalid;
};
class BadTask : public testing::TestWithParam<Bad> {};

TEST_P(BadTask, IsRefusedWithKeyAndValue) {
  TaskObject task;
  const Status status = task_from_json(GetParam().text, task);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, GetParam().code);
  for (const char* says : GetParam().says) EXPECT_THAT(status.error().detail, HasSubstr(says));
  EXPECT_THAT(status.error().detail, Not(HasSubstr("\n")));
}

std::string with(const std::string& rest) { return R"({"task_type":"echo",)" + rest + "}"; }
std::string needing(const std::string& rest) { return with(R"("requirements":{)" + rest + "}"); }

INSTANTIATE_TEST_SUITE_P(
    TaskJson, BadTask,
    testing::Values(
        Bad{"NotJson", "{task", {"not JSON", "column 3"}}, Bad{"List", "[1]", {"a task must be an object, got [1]"}},
        Bad{"NoType", "{}", {"task_type is missing"}}, Bad{"TypeNumber", R"({"task_type":5})", {"task_type", "5"}},
        Bad{"TypeUpperCase", R"({"task_type":"Echo"})", {"task_type", "Echo"}},
        Bad{"TypeEmpty", R"({"task_type":""})", {"task_type"}},
        Bad{"UnknownKey", with(R"("prio":"low")"), {"unknown key \"prio\"", "priority"}},
        Bad{"PriorityNumber", with(R"("priority":3)"), {"priority must be", "got 3"}},
        Bad{"PriorityUpperCase", with(R"("priority":"HIGH")"), {"priority must be", "\"HIGH\""}},
        Bad{"IdShort", with(R"("task_id":"123")"), {"task_id must be a UUID", "\"123\""}},
        Bad{"IdNil", with(R"("task_id":"00000000-0000-0000-0000-000000000000")"), {"task_id"}},
        Bad{"IdNumber", with(R"("task_id":7)"), {"task_id", "7"}},
        Bad{"MetadataList", with(R"("metadata":[1])"), {"metadata must be an object, got [1]"}},
        Bad{"MetadataTooLarge",
            with("\"metadata\":{\"k\":\"" + std::string(kMetadataBytesMax, 'x') + "\"}"),
            {"metadata is"},
            ErrorCode::TooLarge},
        Bad{"PayloadTooLarge",
            with("\"payload\":\"" + std::string(kPayloadBytesMax, 'x') + "\""),
            {"payload is 16777221 bytes", "16777216"},
            ErrorCode::TooLarge},
        Bad{"GroupTooLong", with("\"group\":\"" + std::string(129, 'x') + "\""), {"group"}, ErrorCode::TooLarge},
        Bad{"GroupNumber", with(R"("group":1)"), {"group must be a text, got 1"}},
        Bad{"RequirementsList", with(R"("requirements":[])"), {"requirements must be an object"}},
        Bad{"UnknownRequirement", needing(R"("min_cores":4)"), {"unknown requirement \"min_cores\"", "min_cpu_cores"}},
        Bad{"CoresText", needing(R"("min_cpu_cores":"four")"), {"min_cpu_cores must be a whole number", "\"four\""}},
        Bad{"CoresFraction", needing(R"("min_cpu_cores":1.5)"), {"min_cpu_cores", "1.5"}},
        Bad{"CoresNegative", needing(R"("min_cpu_cores":-1)"), {"min_cpu_cores", "-1"}},
        Bad{"CoresHuge", needing(R"("min_cpu_cores":1000001)"), {"min_cpu_cores", "1000001"}},
        Bad{"MemoryNegative", needing(R"("min_memory_gb":-0.5)"), {"min_memory_gb", "-0.5"}},
        Bad{"MemoryHuge", needing(R"("min_memory_gb":1e300)"), {"min_memory_gb"}},
        Bad{"MemoryText", needing(R"("min_memory_gb":"8")"), {"min_memory_gb must be a number, got \"8\""}},
        Bad{"GpuNumber", needing(R"("gpu_required":1)"), {"gpu_required must be true or false, got 1"}},
        Bad{"PlatformNumber", needing(R"("required_platform":1)"), {"required_platform must be a text"}},
        Bad{"TagsText", needing(R"("required_tags":"a")"), {"required_tags must be a list of texts, got \"a\""}},
        Bad{"TagsNumbers", needing(R"("required_tags":[1])"), {"required_tags", "[1]"}},
        Bad{"TagEmpty", needing(R"("required_tags":[""])"), {"required_tags"}},
        Bad{"TimeoutZero", needing(R"("timeout_seconds":0)"), {"timeout_seconds"}},
        Bad{"TimeoutNull", needing(R"("timeout_seconds":null)"), {"timeout_seconds must be a number, got null"}},
        Bad{"RetriesTooMany", needing(R"("max_retries":1001)"), {"max_retries", "1001"}},
        Bad{"ResourcesList", needing(R"("resources":[])"), {"resources must be an object"}},
        Bad{"ResourceText", needing(R"("resources":{"licence":"one"})"), {"resources.licence must be a number"}},
        Bad{"ResourceNegative", needing(R"("resources":{"licence":-1})"), {"resources.licence"}},
        Bad{"Isolation", needing(R"("min_isolation":"much")"), {"min_isolation", "\"much\""}},
        Bad{"KeyTwice", R"({"task_type":"a","task_type":"b"})", {"\"task_type\" stands twice"}}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(TaskJson, WhatIsShownOfAWrongValueIsBounded) {
  TaskObject task;
  const Status status = task_from_json(with("\"priority\":\"" + std::string(1'000'000, 'x') + "\""), task);
  ASSERT_FALSE(status.ok());
  EXPECT_LT(status.error().detail.size(), 300u);
  const Status cut = task_from_json("[\"" + std::string(1'000'000, 'x') + "\" x", task);
  ASSERT_FALSE(cut.ok());
  EXPECT_LT(cut.error().detail.size(), 300u);
}

}  // namespace
}  // namespace retire::json
