#include "handlers/command/command.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <retire_cluster/plugin.hpp>

#include "tests/unit/plugins/fake_attempt.hpp"
#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire::handlers {
namespace {

using nlohmann::json;
using test::FakeAttempt;
using testing::HasSubstr;
using testing::StartsWith;
namespace fs = std::filesystem;

// Gone, or a zombie that its new parent has not yet taken note of.
bool is_gone(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return true;
  const std::size_t after_name = line.rfind(')');
  return after_name != line.npos && line.substr(after_name + 2, 1) == "Z";
}

// The process numbers that a script wrote, one a line, once there are `count`.
std::vector<pid_t> read_pids(const fs::path& file) {
  std::vector<pid_t> pids;
  std::ifstream in(file);
  for (pid_t pid = 0; in >> pid;) pids.push_back(pid);
  return pids;
}

class CommandTest : public testing::Test {
 protected:
  json run(const json& payload) {
    EXPECT_EQ(command_.run(payload, attempt_), RC_OK) << attempt_.error;
    return attempt_.result_json();
  }
  void expect_failure(const json& payload, int outcome, const std::string& message) {
    EXPECT_EQ(command_.run(payload, attempt_), outcome) << payload.dump();
    EXPECT_THAT(attempt_.error, HasSubstr(message));
  }
  // A script that starts three processes which ignore SIGTERM or not, writes their numbers, and waits.
  std::string tree(bool ignores_term) const {
    const std::string trap = ignores_term ? "trap '' TERM; " : "";
    const std::string file = pids_.string();
    return trap + "sh -c 'echo $$ >> " + file + "; sh -c \"echo \\$\\$ >> " + file +
           "; sleep 1000\" & sleep 1000' & echo $$ >> " + file + "; while :; do sleep 1000; done";
  }
  void expect_tree_gone() {
    const std::vector<pid_t> pids = read_pids(pids_);
    ASSERT_EQ(pids.size(), 3u);
    for (const pid_t pid : pids) EXPECT_TRUE(test::eventually([&] { return is_gone(pid); })) << pid;
  }

  test::TemporaryDirectory directory_;
  fs::path pids_ = directory_.path() / "pids";
  test::Hosted command_{retire_cluster::handler<Command>("command", "")};
  FakeAttempt attempt_;
};

TEST_F(CommandTest, RunsAShellLine) {
  const json result = run({{"command", "echo out; echo err >&2; exit 3"}});
  EXPECT_EQ(result, json({{"return_code", 3},
                          {"stdout", "out\n"},
                          {"stderr", "err\n"},
                          {"command", "echo out; echo err >&2; exit 3"},
                          {"truncated", false}}));
}

TEST_F(CommandTest, RunsAProgramWithArgumentsAndNoShell) {
  const json result = run({{"command", {"echo", "$HOME", "two words", ""}}});
  EXPECT_EQ(result.at("stdout"), "$HOME two words \n");
  EXPECT_EQ(result.at("command"), json({"echo", "$HOME", "two words", ""}));
}

TEST_F(CommandTest, TellsTheSignalThatEndedIt) { EXPECT_EQ(run({{"command", "kill -9 $$"}}).at("return_code"), -9); }

TEST_F(CommandTest, TakesAWorkingDirectory) {
  const fs::path real = fs::canonical(directory_.path());
  EXPECT_EQ(run({{"command", "pwd -P"}, {"cwd", real.string()}}).at("stdout"), real.string() + "\n");
}

TEST_F(CommandTest, FindsARelativeProgramFromTheWorkingDirectory) {
  const fs::path script = directory_.write("script", "#!/bin/sh\necho found\n");
  fs::permissions(script, fs::perms::owner_all);
  EXPECT_EQ(run({{"command", {"./script"}}, {"cwd", directory_.path().string()}}).at("stdout"), "found\n");
}

TEST_F(CommandTest, HasACleanEnvironment) {
  ASSERT_EQ(setenv("RC_TEST_SECRET", "token", 1), 0);
  const std::string environment =
      run({{"command", {"env"}}, {"env", {{"EXTRA", "a=b c"}, {"LANG", "xx"}}}}).at("stdout");
  EXPECT_THAT(environment, testing::Not(HasSubstr("RC_TEST_SECRET")));
  EXPECT_THAT(environment, HasSubstr("EXTRA=a=b c\n"));
  EXPECT_THAT(environment, HasSubstr("LANG=xx\n"));
  EXPECT_THAT(environment, HasSubstr("PATH="));
  EXPECT_THAT(environment, HasSubstr("HOME="));
  EXPECT_EQ(std::count(environment.begin(), environment.end(), '\n'), std::getenv("TMPDIR") == nullptr ? 4 : 5);
  ASSERT_EQ(unsetenv("RC_TEST_SECRET"), 0);
}

// The host's own, where a handler that is locked in may write.
TEST_F(CommandTest, MakesTemporaryFilesWhereItsHostMay) {
  const std::string before = std::getenv("TMPDIR") == nullptr ? "" : std::getenv("TMPDIR");
  ASSERT_EQ(setenv("TMPDIR", directory_.path().c_str(), 1), 0);
  EXPECT_THAT(run({{"command", {"mktemp"}}}).at("stdout").get<std::string>(), StartsWith(directory_.path().string()));
  EXPECT_THAT(run({{"command", "echo $TMPDIR"}, {"env", {{"TMPDIR", "/other"}}}}).at("stdout"), "/other\n");
  ASSERT_EQ(before.empty() ? unsetenv("TMPDIR") : setenv("TMPDIR", before.c_str(), 1), 0);
}

TEST_F(CommandTest, LooksInThePathThatItIsGiven) {
  const fs::path script = directory_.write("my-own-tool", "#!/bin/sh\necho mine\n");
  fs::permissions(script, fs::perms::owner_all);
  const json payload = {{"command", {"my-own-tool"}}, {"env", {{"PATH", "/usr/bin:" + directory_.path().string()}}}};
  EXPECT_EQ(run(payload).at("stdout"), "mine\n");
}

TEST_F(CommandTest, FeedsItsInput) {
  EXPECT_EQ(run({{"command", "cat"}, {"stdin", "hello\n"}}).at("stdout"), "hello\n");
  EXPECT_EQ(run({{"command", "wc -c < /dev/stdin"}, {"stdin", std::string(3'000'000, 'x')}}).at("stdout"), "3000000\n");
  EXPECT_EQ(run({{"command", "true"}, {"stdin", std::string(1'000'000, 'x')}}).at("return_code"), 0)
      << "nobody reads it";
  EXPECT_EQ(run({{"command", "cat"}}).at("stdout"), "") << "no input at all is at its end";
}

TEST_F(CommandTest, InheritsNoDescriptors) {
  const int low = open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int leaked = fcntl(low, F_DUPFD, 50);  // without O_CLOEXEC
  close(low);
  ASSERT_GE(leaked, 50);
  const std::string listing = run({{"command", "ls /proc/self/fd"}}).at("stdout");
  close(leaked);
  EXPECT_THAT(listing, testing::Not(HasSubstr(std::to_string(leaked) + "\n")));
  EXPECT_LE(std::count(listing.begin(), listing.end(), '\n'), 4);
}

TEST_F(CommandTest, LeadsASessionOfItsOwn) {
  const std::string line = "read -r stat < /proc/$$/stat; set -- ${stat##*) }; echo $$ $3 $4";
  std::istringstream out(run({{"command", line}}).at("stdout").get<std::string>());
  pid_t pid = 0;
  pid_t group = 0;
  pid_t session = 0;
  out >> pid >> group >> session;
  EXPECT_EQ(pid, group);
  EXPECT_EQ(pid, session);
  EXPECT_NE(pid, getpid());
}

TEST_F(CommandTest, KeepsHeadAndTailOfMuchOutput) {
  const json result = run({{"command", "echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo last"}});
  const std::string out = result.at("stdout");
  EXPECT_TRUE(result.at("truncated").get<bool>());
  EXPECT_THAT(out, StartsWith("first\n"));
  EXPECT_TRUE(out.ends_with("last\n"));
  EXPECT_THAT(out, HasSubstr("\n... 3951435 bytes left out ...\n"));
  EXPECT_LT(out.size(), kCommandOutputMax + 100);
}

TEST_F(CommandTest, ReadsBothStreamsWhileTheyAreFull) {
  const json result = run({{"command", "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero"}});
  EXPECT_EQ(result.at("stdout").get<std::string>().size(), 300000u);
  EXPECT_EQ(result.at("stderr").get<std::string>().size(), 300000u);
}

TEST_F(CommandTest, GivesTextWhateverWasWritten) {
  EXPECT_EQ(run({{"command", "printf 'a\\377b'"}}).at("stdout"),
            "a\xef\xbf\xbd"
            "b");
}

TEST_F(CommandTest, StartsWithDefaultSignals) {
  // A host may ignore SIGPIPE; `yes` must still die of it.
  const auto before = std::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(run({{"command", "trap"}}).at("stdout"), "");
  EXPECT_EQ(run({{"command", "(yes; echo $? >&2) | true"}}).at("stderr"), "141\n");
  std::signal(SIGPIPE, before);
}

TEST_F(CommandTest, DoesNotWaitForWhatIsLeftInTheBackground) {
  const json result = run({{"command", "sleep 1000 & echo $! >> " + pids_.string() + "; echo done"}});
  EXPECT_EQ(result.at("stdout"), "done\n");
  ASSERT_EQ(read_pids(pids_).size(), 1u);
  EXPECT_TRUE(test::eventually([&] { return is_gone(read_pids(pids_)[0]); }));
}

TEST_F(CommandTest, FailsACheckedCommandWithItsStatusAndLastWords) {
  expect_failure({{"command", "echo why >&2; exit 4"}, {"check", true}}, RC_FAILED,
                 "command: exited with status 4: why");
  expect_failure({{"command", "kill -TERM $$"}, {"check", true}}, RC_FAILED, "command: died of signal 15 (SIGTERM)");
  EXPECT_EQ(run({{"command", "true"}, {"check", true}}).at("return_code"), 0);
}

TEST_F(CommandTest, TellsWhenTheShellFindsNoProgram) {
  EXPECT_EQ(run({{"command", "no-such-program-here"}}).at("return_code"), 127);
}

TEST_F(CommandTest, NamesTheProgramThatIsNotThere) {
  expect_failure({{"command", {"no-such-program-here", "x"}}}, RC_FAILED_PERMANENTLY,
                 "no program \"no-such-program-here\" in PATH");
  expect_failure({{"command", {"/no/such/program"}}}, RC_FAILED_PERMANENTLY,
                 "cannot start \"/no/such/program\": No such file or directory");
  expect_failure({{"command", {"/etc/passwd"}}}, RC_FAILED_PERMANENTLY,
                 "cannot start \"/etc/passwd\": Permission denied");
  const fs::path text = directory_.write("text", "\x01\x02 no program\n");
  fs::permissions(text, fs::perms::owner_all);
  expect_failure({{"command", {text.string()}}}, RC_FAILED_PERMANENTLY, "Exec format error");
}

TEST_F(CommandTest, NamesTheDirectoryThatIsNotThere) {
  expect_failure({{"command", "true"}, {"cwd", "/no/such/place"}}, RC_FAILED_PERMANENTLY,
                 "cannot enter cwd \"/no/such/place\": No such file or directory");
}

TEST_F(CommandTest, KillsTheTreeWhenItsTimeIsOver) {
  expect_failure({{"command", tree(false)}, {"timeout", 0.5}}, RC_FAILED, "command: timed out after 0.5 s");
  expect_tree_gone();
}

TEST_F(CommandTest, KillsATreeThatIgnoresSigterm) {
  expect_failure({{"command", tree(true)}, {"timeout", 0.5}}, RC_FAILED, "command: timed out after 0.5 s");
  expect_tree_gone();
}

TEST_F(CommandTest, KillsTheTreeWhenCancelled) {
  attempt_.cancel_when([&] { return read_pids(pids_).size() == 3; });
  EXPECT_EQ(command_.run({{"command", tree(false)}}, attempt_), RC_CANCELLED);
  expect_tree_gone();
}

// Groups and sessions of their own, parents that are gone: nothing of it outlives the command, however that ended.
TEST_F(CommandTest, LeavesNothingThatFledFromItsGroup) {
  const std::string file = pids_.string();
  const std::string fled = "setsid sh -c 'echo $$ >> " + file + "; setsid sleep 1000 & echo $! >> " + file +
                           "; trap \"\" TERM; while :; do sleep 1000; done' & ";
  const auto expect_gone = [&] {
    const std::vector<pid_t> pids = read_pids(pids_);
    ASSERT_EQ(pids.size(), 2u);
    for (const pid_t pid : pids) EXPECT_TRUE(is_gone(pid)) << pid;
    fs::remove(pids_);
  };
  const std::string both_there = "until test \"$(wc -l < " + file + ")\" -eq 2; do sleep 0.02; done; ";
  run({{"command", fled + "sleep 0.01; " + both_there + "exit 3"}});
  expect_gone();
  EXPECT_EQ(attempt_.result_json().at("return_code"), 3);
  // A daemon's double fork: its parent ends at once, so it was adopted.
  run({{"command", "(" + fled + ") ; touch " + file + "; " + both_there + "kill -9 $$"}});
  expect_gone();
  EXPECT_EQ(attempt_.result_json().at("return_code"), -9);
  attempt_.cancel_when([&] { return read_pids(pids_).size() == 2; });
  EXPECT_EQ(command_.run({{"command", fled + "sleep 1000"}}, attempt_), RC_CANCELLED);
  expect_gone();
}

TEST_F(CommandTest, LetsItsProgramCleanUpFirst) {
  const fs::path cleaned = directory_.path() / "cleaned";
  const std::string line = "trap 'echo yes > " + cleaned.string() + "; exit' TERM; echo $$ > " + pids_.string() +
                           "; while :; do sleep 0.01; done";
  attempt_.cancel_when([&] { return read_pids(pids_).size() == 1; });
  EXPECT_EQ(command_.run({{"command", line}}, attempt_), RC_CANCELLED);
  EXPECT_TRUE(fs::exists(cleaned));
}

TEST_F(CommandTest, EndsAFloodOfOutputInTime) {
  expect_failure({{"command", "yes"}, {"timeout", 0.3}}, RC_FAILED, "command: timed out after 0.3 s");
}

TEST_F(CommandTest, DoesNotStartWhenAlreadyCancelled) {
  attempt_.cancel();
  EXPECT_EQ(command_.run({{"command", "touch " + pids_.string()}}, attempt_), RC_CANCELLED);
  EXPECT_FALSE(fs::exists(pids_));
}

TEST_F(CommandTest, IsReadyForTheNextAfterEachOfThese) {
  for (int i = 0; i < 20; ++i) {
    expect_failure({{"command", {"/no/such/program"}}}, RC_FAILED_PERMANENTLY, "cannot start");
    EXPECT_EQ(run({{"command", {"true"}}}).at("return_code"), 0);
  }
  std::size_t open_descriptors = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++open_descriptors;
  EXPECT_LT(open_descriptors, 20u);
}

TEST_F(CommandTest, RefusesPayloadsNamingTheField) {
  const std::pair<json, std::string> cases[] = {
      {json::object(), "field \"command\" is missing"},
      {{{"command", 5}}, "field \"command\" must be a string or a list of strings, got integer"},
      {{{"command", ""}}, "field \"command\" must not be empty"},
      {{{"command", "  \n"}}, "field \"command\" must not be empty"},
      {{{"command", json::array()}}, "field \"command\" must not be empty"},
      {{{"command", {""}}}, "field \"command\" must name a program first"},
      {{{"command", {"a", 1}}}, "field \"command\" must be a list of strings only, got integer"},
      {{{"command", std::string("a\0b", 3)}}, "field \"command\" must not hold a NUL"},
      {{{"command", "true"}, {"timeout", 0}}, "field \"timeout\" must be more than 0"},
      {{{"command", "true"}, {"timeout", -1}}, "field \"timeout\" must be at least 0, got -1"},
      {{{"command", "true"}, {"timeout", "5"}}, "field \"timeout\" must be a number, got string"},
      {{{"command", "true"}, {"cwd", 7}}, "field \"cwd\" must be a string, got integer"},
      {{{"command", "true"}, {"cwd", ""}}, "field \"cwd\" must not be empty"},
      {{{"command", "true"}, {"env", {1}}}, "field \"env\" must be a map, got list"},
      {{{"command", "true"}, {"env", {{"A", 1}}}}, "field \"env.A\" must be a string, got integer"},
      {{{"command", "true"}, {"env", {{"A=B", "1"}}}}, "field \"env\" must have names without '='"},
      {{{"command", "true"}, {"env", {{"", "1"}}}}, "field \"env\" must have names without '='"},
      {{{"command", "true"}, {"stdin", 1}}, "field \"stdin\" must be a string, got integer"},
      {{{"command", "true"}, {"check", "yes"}}, "field \"check\" must be a boolean, got string"},
      {{{"command", "true"}, {"shell", true}}, "field \"shell\" is not known"},
      {"ls", "payload must be a map, got string"},
  };
  for (const auto& [payload, message] : cases) expect_failure(payload, RC_FAILED_PERMANENTLY, message);
}

}  // namespace
}  // namespace retire::handlers
