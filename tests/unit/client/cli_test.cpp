// The programs, run against a fake main: output, JSON shapes, exit statuses, errors.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "client/cli/programs.hpp"
#include "client/cli/table.hpp"
#include "client/cli/text.hpp"
#include "tests/unit/client/fake_main.hpp"

namespace retire::cli {
namespace {

using config::Exit;
using test::FakeMain;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;
using Json = nlohmann::ordered_json;

constexpr const char* kId = "123e4567-e89b-42d3-a456-426614174000";

class CliTest : public testing::Test {
 protected:
  using Program = Exit (*)(const std::vector<std::string>&, const World&);

  Exit run(Program program, const std::vector<std::string>& arguments) {
    in_.clear();
    in_.str(input_);
    out_.str("");
    err_.str("");
    World world{in_,
                out_,
                err_,
                environment_,
                terminal_,
                terminal_,
                terminal_ ? std::size_t{100} : std::size_t{0},
                [this](Duration) { return --refreshes_ > 0; },
                [this](const std::string& name, const std::vector<std::string>& rest) {
                  became_ = name;
                  became_with_ = rest;
                  return name + " cannot be run: no such file";
                }};
    return program(arguments, world);
  }
  Exit submit(const std::vector<std::string>& arguments) { return run(run_submit, arguments); }
  Exit status(const std::vector<std::string>& arguments) { return run(run_status, arguments); }
  Exit tool(const std::vector<std::string>& arguments) { return run(run_tool, arguments); }

  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  Json json() const { return Json::parse(out()); }
  std::vector<std::string> lines() const {
    std::vector<std::string> result;
    std::istringstream in(out());
    for (std::string line; std::getline(in, line);) result.push_back(line);
    return result;
  }
  static std::vector<std::string> keys(const Json& object) {
    std::vector<std::string> result;
    for (const auto& [key, value] : object.items()) result.push_back(key);
    return result;
  }
  static std::ptrdiff_t newlines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }
  // One line that names the program.
  void expect_error(const std::string& program, const std::string& says) {
    EXPECT_THAT(err(), StartsWith(program + ": "));
    EXPECT_THAT(err(), HasSubstr(says));
    EXPECT_EQ(newlines(err()), 1) << err();
  }

  FakeMain main_;
  config::Environment environment_{{"RETIRE_CLUSTER_ADDRESS", main_.address()}};
  std::string input_;
  bool terminal_ = false;
  int refreshes_ = 1;
  std::string became_;
  std::vector<std::string> became_with_;
  std::istringstream in_;
  std::ostringstream out_;
  std::ostringstream err_;
};

// --- submit

TEST_F(CliTest, SubmitPrintsTheId) {
  EXPECT_EQ(submit({"echo", R"({"message":"hi"})"}), Exit::Ok) << err();
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_TRUE(TaskId::parse(lines()[0]).has_value());
  EXPECT_EQ(err(), "");
  EXPECT_EQ(main_.task_count(), 1u);
}

TEST_F(CliTest, SubmitTakesTheAddressOfTheFlag) {
  environment_["RETIRE_CLUSTER_ADDRESS"] = "127.0.0.1:1";
  EXPECT_EQ(submit({"--to", main_.address(), "echo"}), Exit::Ok) << err();
}

TEST_F(CliTest, SubmitJsonIsTheBodyOfPostTasks) {
  EXPECT_EQ(submit({"echo", "--json", "--task-id", kId}), Exit::Ok);
  EXPECT_EQ(json(), Json::parse(R"({"task_id":")" + std::string(kId) + R"(","status":"queued"})"));
  EXPECT_EQ(submit({"echo", "--json", "--count", "3"}), Exit::Ok);
  EXPECT_THAT(json(), SizeIs(3));
  EXPECT_THAT(keys(json()[2]), ElementsAre("task_id", "status"));
}

TEST_F(CliTest, WaitPrintsTheResultData) {
  EXPECT_EQ(submit({"echo", R"({"b":1,"a":[1,2]})", "--wait"}), Exit::Ok) << err();
  EXPECT_EQ(out(), "{\"b\":1,\"a\":[1,2]}\n");
}

TEST_F(CliTest, WaitJsonPrintsTheWholeResult) {
  EXPECT_EQ(submit({"echo", "7", "--wait", "--json"}), Exit::Ok) << err();
  EXPECT_THAT(keys(json()), ElementsAre("task_id", "status", "result_data", "error_message", "error_traceback",
                                        "execution_time_seconds", "worker_device_id", "started_at", "completed_at",
                                        "logs", "plugin"));
  EXPECT_EQ(json()["result_data"], 7);
  EXPECT_EQ(json()["execution_time_seconds"], 0.0015);
}

TEST_F(CliTest, WaitForATaskThatFailsIsStatusOne) {
  EXPECT_EQ(submit({"fail", "--wait"}), Exit::Failed);
  EXPECT_EQ(out(), "");
  expect_error("retire-cluster-submit", "failed: it broke");
  EXPECT_EQ(submit({"fail", "--wait", "--json"}), Exit::Failed);
  EXPECT_EQ(json()["status"], "failed");
  EXPECT_EQ(json()["logs"][0]["message"], "starting");
}

TEST_F(CliTest, WaitTimesOut) {
  EXPECT_EQ(submit({"slow", "--wait", "--wait-timeout", "0.05", "--task-id", kId}), Exit::TimedOut);
  expect_error("retire-cluster-submit", kId);
}

TEST_F(CliTest, CountSubmitsTheSameManyTimes) {
  EXPECT_EQ(submit({"echo", "--count", "1500"}), Exit::Ok) << err();
  EXPECT_THAT(lines(), SizeIs(1500));
  EXPECT_EQ(main_.task_count(), 1500u);
  EXPECT_EQ(submit({"echo", "1", "--count", "3", "--wait"}), Exit::Ok);
  EXPECT_EQ(out(), "1\n1\n1\n");
}

TEST_F(CliTest, TheSameIdAgainChangesNothingAndOtherContentIsAConflict) {
  EXPECT_EQ(submit({"slow", "1", "--task-id", kId}), Exit::Ok);
  EXPECT_EQ(submit({"slow", "1", "--task-id", kId}), Exit::Ok);
  EXPECT_EQ(out(), std::string(kId) + "\n");
  EXPECT_EQ(submit({"slow", "2", "--task-id", kId}), Exit::Failed);
  expect_error("retire-cluster-submit", kId);
}

TEST_F(CliTest, RequirementsAndPriorityAreSent) {
  EXPECT_EQ(submit({"slow", "--priority", "urgent", "--min-cpu-cores", "2", "--min-memory-gb", "1.5", "--gpu", "--tag",
                    "a", "--tag", "b", "--platform", "Linux", "--timeout", "7", "--max-retries", "0"}),
            Exit::Ok);
  EXPECT_EQ(tool({"task", "show", "last", "--json"}), Exit::Ok) << err();
  EXPECT_EQ(json()["priority"], "urgent");
  const Json needs = json()["requirements"];
  EXPECT_EQ(needs["min_cpu_cores"], 2);
  EXPECT_EQ(needs["min_memory_gb"], 1.5);
  EXPECT_EQ(needs["gpu_required"], true);
  EXPECT_EQ(needs["required_tags"], Json::parse(R"(["a","b"])"));
  EXPECT_EQ(needs["required_platform"], "linux");
  EXPECT_EQ(needs["timeout_seconds"], 7);
  EXPECT_EQ(needs["max_retries"], 0);
}

TEST_F(CliTest, FileSubmitsALineATaskInOrder) {
  input_ =
      "{\"task_type\":\"echo\",\"payload\":1}\n\n  \n{\"task_type\":\"echo\",\"payload\":2}\r\n"
      "{\"task_type\":\"echo\",\"payload\":3}";
  EXPECT_EQ(submit({"--file", "-"}), Exit::Ok) << err();
  EXPECT_THAT(lines(), SizeIs(3));
  EXPECT_EQ(submit({"--file", "-", "--wait"}), Exit::Ok);
  EXPECT_EQ(out(), "1\n2\n3\n");
  EXPECT_EQ(submit({"--file", "-", "--json"}), Exit::Ok);
  EXPECT_THAT(json(), SizeIs(3));
  input_ = "";
  EXPECT_EQ(submit({"--file", "-"}), Exit::Ok);
  EXPECT_EQ(out(), "");
  EXPECT_EQ(submit({"--file", "-", "--json"}), Exit::Ok);
  EXPECT_EQ(json(), Json::array());
}

TEST_F(CliTest, ManyLinesAreSubmittedInBoundedWindows) {
  constexpr int kLines = 40'000;
  for (int i = 0; i < kLines; ++i) input_ += "{\"task_type\":\"echo\",\"payload\":" + std::to_string(i) + "}\n";
  EXPECT_EQ(submit({"--file", "-", "--wait"}), Exit::Ok) << err();
  const auto printed = lines();
  ASSERT_THAT(printed, SizeIs(kLines));
  for (int i = 0; i < kLines; ++i) ASSERT_EQ(printed[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_F(CliTest, ABadLineStopsWithItsNumberAndEarlierOnesStay) {
  input_ =
      "{\"task_type\":\"slow\"}\n\n{\"task_type\":\"slow\"}\n{\"task_type\":\"slow\",\"prio\":1}\n{\"task_type\":"
      "\"slow\"}\n";
  EXPECT_EQ(submit({"--file", "-"}), Exit::Usage);
  EXPECT_THAT(lines(), SizeIs(2));
  expect_error("retire-cluster-submit", "line 4: unknown key \"prio\"");
  EXPECT_EQ(main_.task_count(), 2u);
  input_ = "not json\n";
  EXPECT_EQ(submit({"--file", "-", "--wait"}), Exit::Usage);
  expect_error("retire-cluster-submit", "line 1: not JSON");
}

TEST_F(CliTest, ALineThatMainRefusesStopsWithItsNumber) {
  EXPECT_EQ(submit({"slow", "1", "--task-id", kId}), Exit::Ok);
  input_ = "{\"task_type\":\"slow\"}\n\n{\"task_type\":\"slow\",\"payload\":2,\"task_id\":\"" + std::string(kId) +
           "\"}\n{\"task_type\":\"slow\"}\n";
  EXPECT_EQ(submit({"--file", "-"}), Exit::Failed);
  EXPECT_THAT(lines(), SizeIs(1)) << "the one in front of it was accepted";
  expect_error("retire-cluster-submit", "line 3: task ID " + std::string(kId));
  EXPECT_EQ(main_.task_count(), 2u);
}

TEST_F(CliTest, TheSameIdTwiceInAFile) {
  const std::string line = "{\"task_type\":\"echo\",\"payload\":1,\"task_id\":\"" + std::string(kId) + "\"}\n";
  input_ = line + line + "{\"task_type\":\"echo\",\"payload\":2}\n";
  EXPECT_EQ(submit({"--file", "-"}), Exit::Ok) << err();
  EXPECT_THAT(lines(), SizeIs(3));
  EXPECT_EQ(submit({"--file", "-", "--wait"}), Exit::Ok) << err();
  EXPECT_EQ(out(), "1\n1\n2\n");
}

TEST_F(CliTest, FailedOnesKeepTheirLine) {
  input_ = "{\"task_type\":\"echo\",\"payload\":1}\n{\"task_type\":\"fail\"}\n{\"task_type\":\"echo\",\"payload\":3}\n";
  EXPECT_EQ(submit({"--file", "-", "--wait"}), Exit::Failed);
  EXPECT_EQ(out(), "1\nnull\n3\n");
  expect_error("retire-cluster-submit", "failed: it broke");
}

TEST_F(CliTest, ATerminalSeesProgressAndItsLineIsCleared) {
  terminal_ = true;
  main_.hold_results = true;
  EXPECT_EQ(submit({"echo", "--count", "5", "--wait", "--wait-timeout", "0.4"}), Exit::TimedOut);
  EXPECT_THAT(err(), HasSubstr("5 submitted, 0 finished"));
  EXPECT_THAT(err(), HasSubstr("\r\x1b[K"));
}

TEST_F(CliTest, TokensAreAcceptedForNow) {
  EXPECT_EQ(submit({"echo", "--token", "abc"}), Exit::Ok);
  EXPECT_THAT(lines(), SizeIs(1));
}

TEST_F(CliTest, AFullDiskIsNoticed) {
  struct Full : std::streambuf {
  } full;
  std::ostream out(&full);
  World world{in_, out, err_, environment_, false, false, 0, {}, {}};
  EXPECT_EQ(run_submit({"echo"}, world), Exit::Failed);
  expect_error("retire-cluster-submit", "could not be written");
}

struct Wrong {
  const char* name;
  std::vector<std::string> arguments;
  Exit exit;
  const char* says;
};

class SubmitRefuses : public CliTest, public testing::WithParamInterface<Wrong> {};

TEST_P(SubmitRefuses, BeforeAnythingIsSent) {
  EXPECT_EQ(submit(GetParam().arguments), GetParam().exit);
  EXPECT_EQ(out(), "");
  expect_error("retire-cluster-submit", GetParam().says);
  EXPECT_EQ(main_.hellos(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Cli, SubmitRefuses,
    testing::Values(
        Wrong{"NoType", {}, Exit::Usage, "TYPE is missing"},
        Wrong{"NotJson", {"echo", "{message}"}, Exit::Usage, "PAYLOAD-JSON is not JSON"},
        Wrong{"EmptyPayload", {"echo", ""}, Exit::Usage, "PAYLOAD-JSON is not JSON"},
        Wrong{"TwoPayloads", {"echo", "{}", "{}"}, Exit::Usage, "unexpected argument \"{}\""},
        Wrong{"BadType", {"Echo!"}, Exit::Usage, "type Echo!: must be 1 to 64 characters"},
        Wrong{"BadPriority", {"echo", "--priority", "HIGH"}, Exit::Usage, "--priority HIGH: must be one of low"},
        Wrong{"NegativeCores", {"echo", "--min-cpu-cores", "-1"}, Exit::Usage, "--min-cpu-cores -1: must be"},
        Wrong{"HugeMemory", {"echo", "--min-memory-gb", "1e10"}, Exit::Usage, "--min-memory-gb 1e10: must be"},
        Wrong{"ZeroTimeout", {"echo", "--timeout", "0"}, Exit::Usage, "--timeout 0: must be"},
        Wrong{"Retries", {"echo", "--max-retries", "1001"}, Exit::Usage, "--max-retries 1001: must be"},
        Wrong{"BadId", {"echo", "--task-id", "7"}, Exit::Usage, "--task-id 7: must be a UUID"},
        Wrong{"ZeroCount", {"echo", "--count", "0"}, Exit::Usage, "--count 0: must be"},
        Wrong{"IdAndCount", {"echo", "--count", "2", "--task-id", kId}, Exit::Usage, "an ID of its own"},
        Wrong{"WaitTimeoutAlone", {"echo", "--wait-timeout", "5"}, Exit::Usage, "--wait-timeout needs --wait"},
        Wrong{"FileAndType", {"echo", "--file", "-"}, Exit::Usage, "with --file"},
        Wrong{"FileAndPriority", {"--file", "-", "--priority", "low"}, Exit::Usage, "--priority with --file"},
        Wrong{"NoSuchFile", {"--file", "/nonexistent"}, Exit::Usage, "--file /nonexistent cannot be read"},
        Wrong{"DirectoryAsFile", {"--file", "/tmp"}, Exit::Usage, "--file /tmp cannot be read"},
        Wrong{"BadAddress", {"echo", "--to", "host:port"}, Exit::Usage, "--to host:port: must be an address"},
        Wrong{"PortZero", {"echo", "--to", "localhost:0"}, Exit::Usage, "port 0"},
        Wrong{"LongGroup", {"echo", "--group", std::string(129, 'x')}, Exit::Usage, "group is longer"},
        Wrong{"UnknownFlag", {"echo", "--prioritty", "low"}, Exit::Usage, "did you mean --priority?"},
        Wrong{
            "NoSuchConfig", {"echo", "--config", "/nonexistent"}, Exit::Configuration, "/nonexistent: cannot be read"},
        Wrong{"LargePayload", {"echo", "\"" + std::string(16'777'217, 'x') + "\""}, Exit::Usage, "16777216"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(CliTest, AWrongVariableIsAWrongConfiguration) {
  environment_["RETIRE_CLUSTER_ADDRESS"] = "host:port";
  EXPECT_EQ(submit({"echo"}), Exit::Configuration);
  expect_error("retire-cluster-submit", "RETIRE_CLUSTER_ADDRESS");
  environment_["RETIRE_CLUSTER_PRIORITY"] = "much";
  EXPECT_EQ(submit({"echo"}), Exit::Configuration);
  expect_error("retire-cluster-submit", "RETIRE_CLUSTER_PRIORITY=much: must be one of low");
}

TEST_F(CliTest, MainNotThereIsStatusFour) {
  for (const Program program : {run_submit, run_status, run_tool}) {
    std::vector<std::string> arguments = {"--connect-timeout", "0.1"};
    if (program == run_submit) arguments.insert(arguments.begin(), "echo");
    if (program == run_tool) arguments.insert(arguments.begin(), {"queue", "stats"});
    environment_["RETIRE_CLUSTER_ADDRESS"] = "127.0.0.1:1";
    EXPECT_EQ(run(program, arguments), Exit::Unreachable);
    EXPECT_THAT(err(),
                HasSubstr("main not reached at 127.0.0.1:1 within 0.1 s; is retire-cluster-main running there?"));
  }
}

TEST_F(CliTest, NotLetInIsStatusFive) {
  main_.refuse_hello = true;
  EXPECT_EQ(submit({"echo"}), Exit::NotLetIn);
  expect_error("retire-cluster-submit", "no credential");
}

// --- status

TEST_F(CliTest, OverviewOfAnEmptyClusterTeaches) {
  main_.has_devices = false;
  EXPECT_EQ(status({}), Exit::Ok) << err();
  EXPECT_THAT(out(), HasSubstr("No devices online. Start one with: retire-cluster-worker --join HOST:PORT"));
}

TEST_F(CliTest, OverviewSaysWhatThereIs) {
  submit({"slow"});
  submit({"none"});
  EXPECT_EQ(status({main_.address()}), Exit::Ok) << err();
  EXPECT_THAT(out(), HasSubstr("main          " + main_.address() + ", up 60 min"));
  EXPECT_THAT(out(), HasSubstr("1 of 4 in use (25 %)"));
  EXPECT_THAT(out(), HasSubstr("1 queued · 1 running"));
  EXPECT_THAT(out(), HasSubstr("waiting for   1 no_handler"));
  EXPECT_THAT(out(), HasSubstr("nas-1"));
  EXPECT_THAT(out(), Not(HasSubstr("\x1b"))) << "no colour but on a terminal";
}

TEST_F(CliTest, StatusJsonShapes) {
  submit({"slow", "--task-id", kId});
  EXPECT_EQ(status({"--json"}), Exit::Ok);
  EXPECT_THAT(keys(json()), ElementsAre("cluster_stats", "queue_stats", "scheduler_stats", "device_stats"));
  EXPECT_EQ(status({"--queue", "--json"}), Exit::Ok);
  EXPECT_THAT(keys(json()), IsSupersetOf({"total_tasks", "by_status", "by_priority", "by_device", "by_type"}));
  EXPECT_EQ(status({"--devices", "--json"}), Exit::Ok);
  EXPECT_THAT(keys(json()), ElementsAre("devices"));
  EXPECT_EQ(json()["devices"][0]["last_seen"], "2023-11-14T22:13:20.000000Z");
  EXPECT_EQ(status({"--role", "mobile", "--json"}), Exit::Ok);
  EXPECT_EQ(json()["devices"], Json::array());
  EXPECT_EQ(status({"--device", "nas-1", "--json"}), Exit::Ok);
  EXPECT_EQ(json()["device_id"], "nas-1");
  EXPECT_EQ(status({"--tasks", "--json"}), Exit::Ok);
  EXPECT_THAT(keys(json()), ElementsAre("tasks", "next_cursor"));
  EXPECT_EQ(status({"--task", kId, "--json"}), Exit::Ok);
  EXPECT_EQ(json()["task_id"], kId);
  EXPECT_EQ(status({"--why", kId, "--json"}), Exit::Ok);
  EXPECT_THAT(keys(json()), ElementsAre("task_id", "status", "reason", "position", "devices", "nearest"));
  EXPECT_EQ(json()["devices"][0]["unmet"][0]["has"], 15.6);
}

TEST_F(CliTest, TasksAreListedNewestFirstOverPages) {
  for (int i = 0; i < 8; ++i) submit({i % 2 == 0 ? "slow" : "none"});
  EXPECT_EQ(status({"--tasks"}), Exit::Ok);
  EXPECT_THAT(lines(), SizeIs(9));
  EXPECT_THAT(lines()[0], HasSubstr("REASON"));
  EXPECT_THAT(lines()[1], HasSubstr("no_handler"));
  EXPECT_EQ(status({"--tasks", "--limit", "5", "--json"}), Exit::Ok);
  EXPECT_THAT(json()["tasks"], SizeIs(5));
  EXPECT_TRUE(json()["next_cursor"].is_number());
  EXPECT_EQ(status({"--tasks", "--status", "running", "--json"}), Exit::Ok);
  EXPECT_THAT(json()["tasks"], SizeIs(4));
  EXPECT_TRUE(json()["next_cursor"].is_null());
  EXPECT_EQ(tool({"task", "list", "--type", "none", "--json"}), Exit::Ok);
  EXPECT_THAT(json()["tasks"], SizeIs(4));
}

TEST_F(CliTest, WhyNamesEachUnmetRequirement) {
  submit({"slow", "--task-id", kId});
  EXPECT_EQ(status({"--why", kId}), Exit::Ok);
  EXPECT_THAT(out(), HasSubstr("reason no_device, number 2 in line"));
  EXPECT_THAT(out(), HasSubstr("needs min_memory_gb 64, has 15.6"));
  EXPECT_THAT(out(), HasSubstr("Nearest: nas-1 lacks memory"));
}

TEST_F(CliTest, UnknownOnesAreStatusSix) {
  EXPECT_EQ(status({"--task", kId}), Exit::NotFound);
  expect_error("retire-cluster-status", kId);
  EXPECT_EQ(status({"--why", kId}), Exit::NotFound);
  EXPECT_EQ(status({"--device", "other"}), Exit::NotFound);
  expect_error("retire-cluster-status", "no device \"other\"");
  EXPECT_EQ(tool({"task", "cancel", kId}), Exit::NotFound);
  EXPECT_EQ(tool({"task", "show", "abcdef"}), Exit::NotFound);
  EXPECT_EQ(tool({"task", "show", "last"}), Exit::NotFound);
}

TEST_F(CliTest, WrongStatusFlagsAreRefused) {
  EXPECT_EQ(status({"--task", "xyz"}), Exit::Usage);
  expect_error("retire-cluster-status", "--task xyz: must be a UUID");
  EXPECT_EQ(status({"--tasks", "--queue"}), Exit::Usage);
  EXPECT_EQ(status({"--status", "queued"}), Exit::Usage);
  EXPECT_EQ(status({"--tasks", "--status", "QUEUED"}), Exit::Usage);
  EXPECT_EQ(status({"--tasks", "--limit", "0"}), Exit::Usage);
  EXPECT_EQ(status({"a:b:c]"}), Exit::Usage);
  EXPECT_EQ(main_.hellos(), 0u);
}

TEST_F(CliTest, WatchShowsAgainUntilInterrupted) {
  refreshes_ = 3;
  EXPECT_EQ(status({"--queue", "--watch"}), Exit::Ok);
  EXPECT_EQ(newlines(out()), 9) << out();
}

TEST_F(CliTest, ColourOnATerminalUnlessNotWanted) {
  terminal_ = true;
  EXPECT_EQ(status({"--devices"}), Exit::Ok);
  EXPECT_THAT(out(), HasSubstr("\x1b[32monline"));
  environment_["NO_COLOR"] = "1";
  EXPECT_EQ(status({"--devices"}), Exit::Ok);
  EXPECT_THAT(out(), Not(HasSubstr("\x1b[")));
}

// --- the tool

TEST_F(CliTest, ShowCancelAndShortIds) {
  submit({"slow", "--task-id", kId});
  EXPECT_EQ(tool({"task", "show", "123e45"}), Exit::Ok) << err();
  EXPECT_THAT(out(), HasSubstr(kId));
  EXPECT_THAT(out(), HasSubstr("running"));
  EXPECT_EQ(tool({"task", "cancel", kId, "--json"}), Exit::Ok);
  EXPECT_EQ(json(), Json::parse(R"({"task_id":")" + std::string(kId) + R"(","cancelled":true})"));
  EXPECT_EQ(tool({"task", "cancel", kId}), Exit::Ok);
  EXPECT_THAT(out(), HasSubstr("final already"));
  submit({"slow", "--task-id", "123e4567-e89b-42d3-a456-426614174001"});
  EXPECT_EQ(tool({"task", "show", "123e4567"}), Exit::Usage);
  expect_error("retire-cluster", "is the beginning of 2 tasks");
}

TEST_F(CliTest, DevicesAndQueue) {
  EXPECT_EQ(tool({"device", "list"}), Exit::Ok);
  EXPECT_THAT(out(), HasSubstr("15.6 GB"));
  EXPECT_EQ(tool({"device", "show", "nas-1"}), Exit::Ok);
  EXPECT_THAT(out(), HasSubstr("echo, fail, slow"));
  EXPECT_EQ(tool({"queue", "stats", "--json"}), Exit::Ok);
  EXPECT_TRUE(json().contains("by_status"));
}

TEST_F(CliTest, ProgramsAreVerbs) {
  EXPECT_EQ(tool({"worker", "--join", "x", "--help"}), Exit::Failed);
  EXPECT_EQ(became_, "retire-cluster-worker");
  EXPECT_THAT(became_with_, ElementsAre("--join", "x", "--help"));
  expect_error("retire-cluster", "cannot be run");
}

TEST_F(CliTest, WhatComesLaterSaysSo) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"http"}, {"token", "create", "--role", "worker"}}) {
    EXPECT_EQ(tool(arguments), Exit::Usage) << arguments[0];
    expect_error("retire-cluster", "not built yet");
  }
  EXPECT_EQ(tool({"taks", "list"}), Exit::Usage);
  expect_error("retire-cluster", "did you mean task?");
  EXPECT_EQ(tool({}), Exit::Usage);
  EXPECT_EQ(tool({"--debug", "submit", "echo"}), Exit::Usage);
}

TEST_F(CliTest, HelpAndVersion) {
  for (const Program program : {run_submit, run_status, run_tool}) {
    EXPECT_EQ(run(program, {"--help"}), Exit::Ok);
    EXPECT_THAT(out(), StartsWith("Usage: retire-cluster"));
    EXPECT_EQ(run(program, {"--version"}), Exit::Ok);
    EXPECT_THAT(out(), HasSubstr(RC_VERSION));
  }
}

// --- words and tables

TEST(Text, DurationsAndNumbers) {
  EXPECT_EQ(with_commas(0), "0");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(with_commas(1'204), "1,204");
  EXPECT_EQ(with_commas(1'000'000), "1,000,000");
  EXPECT_EQ(short_duration(8e-6), "8 µs");
  EXPECT_EQ(short_duration(0.25), "250 ms");
  EXPECT_EQ(short_duration(2.5), "2.5 s");
  EXPECT_EQ(short_duration(42), "42 s");
  EXPECT_EQ(short_duration(240), "4 min");
  EXPECT_EQ(short_duration(3 * 3'600), "3 h");
  EXPECT_EQ(short_duration(100 * 3'600), "4 d");
  const WallTime now = *parse_iso8601("2023-11-14T22:15:20.000000Z");
  EXPECT_EQ(ago("2023-11-14T22:13:20.000000Z", now), "2 min ago");
  EXPECT_EQ(ago("2023-11-14T22:15:20.500000Z", now), "now") << "clocks differ";
  EXPECT_EQ(ago("", now), "-");
  EXPECT_EQ(cut("h\xc3\xa9llo", 3), "h\xc3\xa9…");
  EXPECT_EQ(printable("a\x1b[31mb"), "a?[31mb");
}

TEST(Table, IsAlignedAndFitsTheTerminal) {
  Table table({{"NAME"}, {"N", true}});
  table.add({{"a"}, {"1"}});
  table.add({{std::string(50, 'x')}, {"1000"}});
  std::ostringstream out;
  table.print(out, 30, false);
  EXPECT_EQ(out.str(),
            "NAME                         N\na                            1\n" + std::string(23, 'x') + "…  1000\n");
}

}  // namespace
}  // namespace retire::cli
