#include "common/config/flags.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "common/config/common_flags.hpp"

namespace retire::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

// A program with one flag of each kind.
struct Program {
  std::string host = "0.0.0.0";
  std::uint16_t port = 8080;
  double lease = 30;
  bool json = false;
  std::optional<bool> gpu;
  std::optional<double> memory;
  std::vector<std::string> tags;
  std::string role = "worker";
  std::string token;
  std::uint16_t http_port = 8081;
  std::int32_t shift = 0;
  std::string type;
  std::optional<std::string> payload;
  CommonOptions common;
  Flags flags{"tester", "Tests."};

  Program() {
    add_common_flags(flags, common);
    flags.add("host", host, "address to listen on");
    flags.add("port", port, "port to listen on").range(0, 65535);
    flags.add("lease", lease, "seconds").range(0.1, 3600);
    flags.add("json", json, "print JSON");
    flags.add("gpu", gpu, "has a GPU");
    flags.add("memory-gb", memory, "memory");
    flags.add("tag", tags, "a tag");
    flags.add("role", role, "role").one_of({"worker", "compute"});
    flags.add("token", token, "credential").secret().check([](const std::string& text) {
      return text.size() < 3 ? std::optional<std::string>("3 letters or more") : std::nullopt;
    });
    flags.add("http-port", http_port, "HTTP").later("the HTTP gateway comes later");
    flags.add("shift", shift, "signed").range(-5, 5);
    flags.positional("type", type, "task type");
    flags.positional("payload", payload, "payload");
  }
  Result<Parsed> parse(const std::vector<std::string>& arguments, const Environment& environment = {}) {
    return flags.parse(arguments, environment);
  }
};

class FlagsTest : public testing::Test {
 protected:
  FlagsTest() {
    std::string name = testing::TempDir() + "rc_flags_XXXXXX";
    dir_ = mkdtemp(name.data());
  }
  ~FlagsTest() override { std::filesystem::remove_all(dir_); }
  std::string file(const std::string& content) const {
    const std::string path = dir_ + "/settings.toml";
    std::ofstream(path) << content;
    return path;
  }
  std::string dir_;
  Program p_;
};

TEST_F(FlagsTest, DefaultsStayWhenNothingIsGiven) {
  const auto parsed = p_.parse({});
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(p_.host, "0.0.0.0");
  EXPECT_EQ(p_.port, 8080);
  EXPECT_FALSE(p_.gpu.has_value());
  EXPECT_FALSE(parsed.value().given("port"));
  EXPECT_EQ(p_.common.connect_timeout_seconds, 5);
}

TEST_F(FlagsTest, EveryKindIsRead) {
  const auto parsed = p_.parse({"--host", "::1", "--port=0", "--lease", "2.5", "--json", "--no-gpu", "--memory-gb", "4",
                                "--tag", "a", "--tag", "b", "--role", "compute", "--shift", "-3", "echo", "[1,2]"});
  ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
  EXPECT_EQ(p_.host, "::1");
  EXPECT_EQ(p_.port, 0);
  EXPECT_EQ(p_.lease, 2.5);
  EXPECT_TRUE(p_.json);
  EXPECT_EQ(p_.gpu, false);
  EXPECT_EQ(p_.memory, 4);
  EXPECT_THAT(p_.tags, ElementsAre("a", "b"));
  EXPECT_EQ(p_.shift, -3);
  EXPECT_EQ(p_.type, "echo");
  EXPECT_EQ(p_.payload, "[1,2]") << "a JSON array is one argument";
}

TEST_F(FlagsTest, NegativeNumberAndJsonTextsAreArguments) {
  ASSERT_TRUE(p_.parse({"echo", "-5"}).ok());
  EXPECT_EQ(p_.payload, "-5");
  Program other;
  ASSERT_TRUE(other.parse({"echo", "\"--text\""}).ok());
  EXPECT_EQ(other.payload, "\"--text\"");
}

TEST_F(FlagsTest, AFlagBeatsEnvironmentBeatsFileBeatsDefault) {
  const std::string path = file("host = \"file\"\nport = 1\nlease = 1\n");
  const auto parsed = p_.parse({"--config", path, "--host", "flag"},
                               {{"RETIRE_CLUSTER_HOST", "environment"}, {"RETIRE_CLUSTER_PORT", "2"}});
  ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
  EXPECT_EQ(p_.host, "flag");
  EXPECT_EQ(p_.port, 2);
  EXPECT_EQ(p_.lease, 1);
  EXPECT_EQ(p_.http_port, 8081);
  EXPECT_EQ(parsed.value().source("host"), Source::Flag);
  EXPECT_EQ(parsed.value().source("port"), Source::Variable);
  EXPECT_EQ(parsed.value().source("lease"), Source::File);
  EXPECT_EQ(parsed.value().source("json"), Source::Default);
}

TEST_F(FlagsTest, RepeatableOnesFromEnvironmentAndFile) {
  ASSERT_TRUE(p_.parse({}, {{"RETIRE_CLUSTER_TAG", "x,y,,z"}}).ok());
  EXPECT_THAT(p_.tags, ElementsAre("x", "y", "z"));
  Program other;
  ASSERT_TRUE(other.parse({"--config", file("tag = [\"m\", \"n\"]\nmemory_gb = 1.5\nno-gpu = true\n")}).ok());
  EXPECT_THAT(other.tags, ElementsAre("m", "n"));
  EXPECT_EQ(other.memory, 1.5) << "dashes may be underscores";
  EXPECT_EQ(other.gpu, false);
}

TEST_F(FlagsTest, TheFileMayBeNamedByTheEnvironment) {
  ASSERT_TRUE(p_.parse({}, {{"RETIRE_CLUSTER_CONFIG", file("port = 7\n")}}).ok());
  EXPECT_EQ(p_.port, 7);
}

TEST_F(FlagsTest, AnEmptyVariableCountsAsNotSet) {
  ASSERT_TRUE(p_.parse({}, {{"RETIRE_CLUSTER_PORT", ""}, {"RETIRE_CLUSTER_TOKEN", ""}}).ok());
  EXPECT_EQ(p_.port, 8080);
}

TEST_F(FlagsTest, DebugIsShortForTheLogLevel) {
  ASSERT_TRUE(p_.parse({"--debug"}, {{"RETIRE_CLUSTER_LOG_LEVEL", "error"}}).ok());
  EXPECT_EQ(p_.common.log_level, "debug");
  Program other;
  ASSERT_TRUE(other.parse({"--log-level", "warn"}, {{"RETIRE_CLUSTER_DEBUG", "1"}}).ok());
  EXPECT_EQ(other.common.log_level, "warn") << "a flag beats a variable";
}

TEST_F(FlagsTest, WhatIsNotBuiltYetIsValidatedAndNoticed) {
  const auto parsed = p_.parse({"--http-port", "99"});
  ASSERT_TRUE(parsed.ok());
  EXPECT_THAT(parsed.value().notices,
              ElementsAre("--http-port is accepted but has no effect yet: the HTTP gateway comes later"));
  EXPECT_FALSE(Program().parse({"--http-port", "99999"}).ok());
}

TEST_F(FlagsTest, HelpAndVersionExit) {
  const auto help = p_.parse({"--help", "--port", "80"});
  ASSERT_TRUE(help.ok());
  EXPECT_TRUE(help.value().wants_exit);
  EXPECT_THAT(help.value().text, HasSubstr("--port"));
  EXPECT_THAT(help.value().text, HasSubstr("8080"));
  EXPECT_THAT(help.value().text, HasSubstr("--no-gpu"));
  EXPECT_THAT(help.value().text, HasSubstr("[PAYLOAD]"));
  EXPECT_THAT(help.value().text, HasSubstr("Common flags"));
  const auto version = Program().parse({"--version"});
  ASSERT_TRUE(version.ok());
  EXPECT_EQ(version.value().text, "tester " RC_VERSION "\n");
}

struct Wrong {
  const char* name;
  std::vector<std::string> arguments;
  Environment environment;
  ErrorCode code;
  const char* says;
};

class FlagsRefuse : public testing::TestWithParam<Wrong> {};

TEST_P(FlagsRefuse, WithOneLineThatNamesIt) {
  Program p;
  const auto parsed = p.parse(GetParam().arguments, GetParam().environment);
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, GetParam().code);
  EXPECT_THAT(parsed.error().detail, HasSubstr(GetParam().says));
  EXPECT_THAT(parsed.error().detail, Not(HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(
    Flags, FlagsRefuse,
    testing::Values(
        Wrong{"UnknownFlag", {"--prot", "80"}, {}, ErrorCode::Invalid, "unknown flag --prot; did you mean --port?"},
        Wrong{"UnknownFlagWithValue", {"--prot=80"}, {}, ErrorCode::Invalid, "unknown flag --prot; did"},
        Wrong{"NothingLikeIt", {"--zzzzzzzzzz"}, {}, ErrorCode::Invalid, "unknown flag --zzzzzzzzzz (see"},
        Wrong{"TooManyArguments", {"echo", "{}", "more"}, {}, ErrorCode::Invalid, "unexpected argument \"more\""},
        Wrong{"NoValue", {"--port"}, {}, ErrorCode::Invalid, "--port"},
        Wrong{"NotANumber",
              {"--port", "abc"},
              {},
              ErrorCode::Invalid,
              "--port abc: must be a whole number from 0 to 65535"},
        Wrong{"PartlyANumber", {"--port", "80x"}, {}, ErrorCode::Invalid, "--port 80x: must be"},
        Wrong{"TooLarge", {"--port", "65536"}, {}, ErrorCode::Invalid, "--port 65536: must be"},
        Wrong{"Negative", {"--port", "-1"}, {}, ErrorCode::Invalid, "--port -1: must be"},
        Wrong{"Huge", {"--port", "99999999999999999999999"}, {}, ErrorCode::Invalid, "must be a whole number"},
        Wrong{"Signed", {"--shift", "-6"}, {}, ErrorCode::Invalid, "a whole number from -5 to 5"},
        Wrong{
            "NotFinite", {"--lease", "nan"}, {}, ErrorCode::Invalid, "--lease nan: must be a number from 0.1 to 3600"},
        Wrong{"NumberTooSmall", {"--lease", "0"}, {}, ErrorCode::Invalid, "--lease 0: must be"},
        Wrong{"Word", {"--role", "boss"}, {}, ErrorCode::Invalid, "--role boss: must be one of worker, compute"},
        Wrong{"Level", {"--log-level", "loud"}, {}, ErrorCode::Invalid, "trace, debug, info, warn, error"},
        Wrong{"Secret", {"--token", "ab"}, {}, ErrorCode::Invalid, "--token …: must be 3 letters or more"},
        Wrong{"Variable",
              {},
              {{"RETIRE_CLUSTER_PORT", "abc"}},
              ErrorCode::Configuration,
              "RETIRE_CLUSTER_PORT=abc: must be a whole number from 0 to 65535"},
        Wrong{"VariableSwitch",
              {},
              {{"RETIRE_CLUSTER_JSON", "maybe"}},
              ErrorCode::Configuration,
              "RETIRE_CLUSTER_JSON=maybe: must be true or false"},
        Wrong{"NoSuchFile",
              {"--config", "/nonexistent/x.toml"},
              {},
              ErrorCode::Configuration,
              "/nonexistent/x.toml: cannot be read"},
        Wrong{"FileIsADirectory", {"--config", "/tmp"}, {}, ErrorCode::Configuration, "/tmp: cannot be read"},
        Wrong{"InitConfigIsNotEverywhere", {"--init-config"}, {}, ErrorCode::Invalid, "unknown flag --init-config"}),
    [](const auto& one) { return std::string(one.param.name); });

struct WrongFile {
  const char* name;
  const char* content;
  const char* says;
};

class FileRefuses : public FlagsTest, public testing::WithParamInterface<WrongFile> {};

TEST_P(FileRefuses, WithFileAndLine) {
  const std::string path = file(GetParam().content);
  const auto parsed = p_.parse({"--config", path});
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::Configuration);
  EXPECT_THAT(parsed.error().detail, HasSubstr(path));
  EXPECT_THAT(parsed.error().detail, HasSubstr(GetParam().says));
  EXPECT_THAT(parsed.error().detail, Not(HasSubstr("\n")));
}

INSTANTIATE_TEST_SUITE_P(
    Flags, FileRefuses,
    testing::Values(WrongFile{"NotToml", "port = = 3\n", "line 1 is not TOML"},
                    WrongFile{"UnknownKey", "\nprot = 80\n", ":2: unknown key \"prot\"; did you mean port?"},
                    WrongFile{"Table", "[port]\nx = 1\n", "must be a whole number"},
                    WrongFile{"UnknownTable", "[queue]\nx = 1\n", "unknown key \"queue\""},
                    WrongFile{"TextForNumber", "port = \"80\"\n", ":1: port = \"80\": must be a whole number"},
                    WrongFile{"FractionForWhole", "port = 80.5\n", "port = 80.5: must be a whole number"},
                    WrongFile{"OutOfRange", "port = 70000\n", "port = 70000: must be a whole number from 0 to 65535"},
                    WrongFile{"NumberForSwitch", "json = 1\n", "json = 1: must be true or false"},
                    WrongFile{"ArrayOfNumbers", "tag = [1, 2]\n", "must be an array of texts"},
                    WrongFile{"ArrayForText", "host = [\"a\"]\n", "must be a text in quotes"},
                    WrongFile{"Twice", "log-level = \"info\"\nlog_level = \"warn\"\n", "is the same setting as"},
                    WrongFile{"ConfigInConfig", "config = \"x\"\n", "unknown key \"config\""},
                    WrongFile{"SecretIsNotShown", "token = \"ab\"\n", "token = …: must be"},
                    WrongFile{"Date", "host = 1979-05-27\n", "must be a text"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(FlagsTest, InitConfigWritesAFileThatReadsBack) {
  p_.flags.add_init_config();
  const std::string path = dir_ + "/new.toml";
  const auto parsed =
      p_.parse({"--init-config", "--config", path, "--port", "9000", "--tag", "a\"b", "--token", "secret"});
  ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
  EXPECT_TRUE(parsed.value().wants_exit);
  EXPECT_EQ(parsed.value().text, "wrote " + path + "\n");
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  std::stringstream content;
  content << std::ifstream(path).rdbuf();
  EXPECT_THAT(content.str(), HasSubstr("# address to listen on\n# host = \"0.0.0.0\"\n"));
  EXPECT_THAT(content.str(), HasSubstr("\nport = 9000\n"));
  EXPECT_THAT(content.str(), Not(HasSubstr("secret")));

  Program again;
  const auto read = again.parse({"--config", path});
  ASSERT_TRUE(read.ok()) << read.error().detail;
  EXPECT_EQ(again.port, 9000);
  EXPECT_THAT(again.tags, ElementsAre("a\"b"));

  // Every commented key is a valid one.
  std::string all = content.str();
  for (std::size_t at = 0; (at = all.find("\n# ", at)) != std::string::npos;) {
    const std::size_t end = all.find('\n', at + 1);
    const std::string line = all.substr(at + 3, end - at - 3);
    const std::size_t equals = line.find(" = ");
    if (equals != std::string::npos && line.find(' ') == equals) all.erase(at + 1, 2);
    at += 1;
  }
  Program full;
  const auto every = full.parse({"--config", file(all)});
  EXPECT_TRUE(every.ok() || every.error().detail.find("token") != std::string::npos) << every.error().detail;
}

TEST_F(FlagsTest, InitConfigNeverWritesOverAFile) {
  p_.flags.add_init_config();
  const std::string path = file("port = 1\n");
  const auto parsed = p_.parse({"--init-config", "--config", path});
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::Configuration);
  EXPECT_THAT(parsed.error().detail, HasSubstr("never written over"));
}

TEST_F(FlagsTest, InitConfigNeedsAName) {
  p_.flags.add_init_config();
  const auto parsed = p_.parse({"--init-config"});
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::Invalid);
}

// A program with sub-commands.
struct Verbs {
  CommonOptions common;
  bool json = false;
  std::string id;
  std::uint32_t limit = 100;
  Flags flags{"tool", "Does."};
  Verbs() {
    add_common_flags(flags, common);
    flags.add("json", json, "print JSON");
    Flags& task = flags.verb("task", "about tasks");
    Flags& list = task.verb("list", "lists them");
    list.add("limit", limit, "how many").range(1, 1000);
    Flags& show = task.verb("show", "shows one");
    show.positional("id", id, "task ID").required();
    flags.verb("queue", "about the queue").verb("stats", "statistics");
  }
};

TEST(Verbs, AreReadWithTheFlagsOfAllLevels) {
  Verbs v;
  const auto parsed = v.flags.parse({"task", "list", "--json", "--limit", "5", "--debug"}, {});
  ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
  EXPECT_THAT(parsed.value().verbs, ElementsAre("task", "list"));
  EXPECT_TRUE(v.json);
  EXPECT_EQ(v.limit, 5u);
  EXPECT_EQ(v.common.log_level, "debug");
}

TEST(Verbs, TakeAnyNumberOfArgumentsWhereAListIsDeclared) {
  std::vector<std::string> files;
  std::vector<std::string> keys;
  const auto parse = [&](const std::vector<std::string>& arguments) {
    files.clear();
    keys.clear();
    Flags flags("tool", "Does.");
    Flags& sign = flags.verb("sign", "signs");
    sign.positional("file", files, "files").required();
    sign.add("key", keys, "keys");
    return flags.parse(arguments, {});
  };
  ASSERT_TRUE(parse({"sign", "a", "--key", "k", "b", "--key", "l", "c,d"}).ok());
  EXPECT_THAT(files, ElementsAre("a", "b", "c,d"));
  EXPECT_THAT(keys, ElementsAre("k", "l"));
  EXPECT_FALSE(parse({"sign", "--key", "k"}).ok());
  EXPECT_FALSE(parse({"sign", "a", "--unknown"}).ok());
}

TEST(Verbs, TakeArgumentsAndFlagsInFront) {
  Verbs v;
  const auto parsed = v.flags.parse({"--json", "task", "show", "abc"}, {{"RETIRE_CLUSTER_LIMIT", "x"}});
  ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
  EXPECT_EQ(v.id, "abc") << "a flag of another verb is not looked for";
}

TEST(Verbs, HelpIsThatOfTheVerb) {
  Verbs v;
  const auto parsed = v.flags.parse({"task", "show", "--help"}, {});
  ASSERT_TRUE(parsed.ok());
  EXPECT_THAT(parsed.value().text, HasSubstr("Usage: tool task show [FLAGS] ID"));
  const auto all = Verbs().flags.parse({"--help"}, {});
  EXPECT_THAT(all.value().text, HasSubstr("about the queue"));
}

struct WrongVerb {
  const char* name;
  std::vector<std::string> arguments;
  const char* says;
};
class VerbsRefuse : public testing::TestWithParam<WrongVerb> {};
TEST_P(VerbsRefuse, WithOneLine) {
  Verbs v;
  const auto parsed = v.flags.parse(GetParam().arguments, {});
  ASSERT_FALSE(parsed.ok());
  EXPECT_EQ(parsed.error().code, ErrorCode::Invalid);
  EXPECT_THAT(parsed.error().detail, HasSubstr(GetParam().says));
}
INSTANTIATE_TEST_SUITE_P(
    Verbs, VerbsRefuse,
    testing::Values(WrongVerb{"None", {}, "no command given after \"tool\"; one of task, queue"},
                    WrongVerb{"NoneBelow", {"task"}, "one of list, show"},
                    WrongVerb{"Unknown", {"taks"}, "unknown command \"taks\"; did you mean task?"},
                    WrongVerb{"UnknownBelow", {"task", "lsit"}, "unknown command \"lsit\"; did you mean list?"},
                    WrongVerb{"MissingArgument", {"task", "show"}, "id is missing"},
                    WrongVerb{"FlagOfAnother", {"task", "show", "x", "--limit", "3"}, "unknown flag --limit"}),
    [](const auto& one) { return std::string(one.param.name); });

TEST(EndsHere, PrintsAndReturnsTheStatus) {
  std::ostringstream out;
  std::ostringstream err;
  EXPECT_EQ(ends_here(Result<Parsed>(Error{ErrorCode::Configuration, "why"}), "tool", out, err), 3);
  EXPECT_EQ(err.str(), "tool: why\n");
  Parsed done;
  done.wants_exit = true;
  done.text = "help\n";
  EXPECT_EQ(ends_here(Result<Parsed>(done), "tool", out, err), 0);
  EXPECT_EQ(out.str(), "help\n");
  EXPECT_EQ(ends_here(Result<Parsed>(Parsed{}), "tool", out, err), std::nullopt);
}

}  // namespace
}  // namespace retire::config
