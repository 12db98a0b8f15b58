#include "plugins/loader/loaded_plugin.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/plugins/fake_attempt.hpp"
#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire {
namespace {

using nlohmann::json;
using test::FakeAttempt;
using testing::HasSubstr;

const rc_setup kSetup{sizeof(rc_setup), {nullptr, 0}, {nullptr, 0}};

std::string fixture(const std::string& name) { return std::string(RC_FIXTURE_DIR) + "/" + name + ".so"; }

LoadedPlugin sound() {
  Result<LoadedPlugin> plugin = LoadedPlugin::open(fixture("sound"));
  EXPECT_TRUE(plugin.ok()) << (plugin.ok() ? "" : plugin.error().detail);
  return std::move(plugin).value();
}

TEST(Loader, TellsWhatAPluginOffers) {
  const LoadedPlugin plugin = sound();
  EXPECT_EQ(plugin.name(), "sound");
  EXPECT_EQ(plugin.version(), "1.2.3");
  ASSERT_EQ(plugin.handlers().size(), 2u);
  EXPECT_EQ(plugin.handlers()[0].name, "first");
  EXPECT_EQ(plugin.handlers()[0].description, "Returns what it is told");
  EXPECT_EQ(plugin.handlers()[0].payload_schema, "{\"type\":\"object\"}");
  EXPECT_TRUE(plugin.handlers()[0].off_by_default);
  EXPECT_EQ(plugin.handlers()[1].name, "second.one-2");
  EXPECT_FALSE(plugin.handlers()[1].off_by_default);
  EXPECT_EQ(plugin.handlers()[1].payload_schema, "");
}

TEST(Loader, RunsAttempts) {
  const LoadedPlugin plugin = sound();
  Result<HandlerInstance> instance = plugin.make("first", kSetup);
  ASSERT_TRUE(instance.ok());
  FakeAttempt attempt;
  EXPECT_EQ(instance.value().run(test::as_bytes(std::string(1, RC_OK)), attempt.context()), RC_OK);
  EXPECT_EQ(attempt.result, "\x01");
  EXPECT_EQ(instance.value().run(test::as_bytes(std::string(1, RC_FAILED)), attempt.context()), RC_FAILED);
  EXPECT_EQ(attempt.error, "no luck");
  EXPECT_EQ(instance.value().run(test::as_bytes(std::string(1, RC_CANCELLED)), attempt.context()), RC_CANCELLED);
}

TEST(Loader, CountsAnUnknownOutcomeAsAFailure) {
  Result<HandlerInstance> instance = sound().make("first", kSetup);
  ASSERT_TRUE(instance.ok());
  FakeAttempt attempt;
  EXPECT_EQ(instance.value().run(test::as_bytes("\x63"), attempt.context()), RC_FAILED);
}

TEST(Loader, DestroysEachInstanceOnceAndKeepsTheLibraryForIt) {
  std::optional<HandlerInstance> survivor;
  {
    const LoadedPlugin plugin = sound();
    Result<HandlerInstance> first = plugin.make("first", kSetup);
    Result<HandlerInstance> second = plugin.make("second.one-2", kSetup);
    ASSERT_TRUE(first.ok() && second.ok());
    survivor.emplace(std::move(first).value());
  }
  FakeAttempt attempt;  // the plugin and the second instance are gone
  EXPECT_EQ(survivor->run(test::as_bytes(std::string(1, RC_OK)), attempt.context()), RC_OK);
  EXPECT_EQ(attempt.result, "\x01");
}

TEST(Loader, TellsWhyAHandlerCannotBeMade) {
  const LoadedPlugin plugin = sound();
  const auto make_with = [&](std::size_t settings) {
    const std::string bytes(settings, '\x80');
    const rc_setup setup{sizeof(rc_setup), {nullptr, 0}, test::as_bytes(bytes)};
    return plugin.make("first", setup);
  };
  const Result<HandlerInstance> refused = make_with(1);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::PluginFailed);
  EXPECT_EQ(refused.error().detail, "no such hardware");
  const Result<HandlerInstance> silent = make_with(2);
  ASSERT_FALSE(silent.ok());
  EXPECT_EQ(silent.error().detail, "it gave no reason");
  const Result<HandlerInstance> unknown = plugin.make("third", kSetup);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, ErrorCode::PluginNotFound);
  EXPECT_THAT(unknown.error().detail, HasSubstr("no handler named \"third\""));
}

TEST(Loader, LoadsAPluginInCpp) {
  const Result<LoadedPlugin> plugin = LoadedPlugin::open(fixture("cpp"));
  ASSERT_TRUE(plugin.ok()) << plugin.error().detail;
  ASSERT_EQ(plugin.value().handlers().size(), 3u);
  Result<HandlerInstance> greet = plugin.value().make("greet", kSetup);
  ASSERT_TRUE(greet.ok());
  FakeAttempt attempt;
  EXPECT_EQ(greet.value().run(test::as_bytes(test::to_msgpack({{"name", "Ada"}})), attempt.context()), RC_OK);
  EXPECT_EQ(attempt.result_json(), json({{"greeting", "Hello, Ada"}}));
  EXPECT_EQ(greet.value().run(test::as_bytes(test::to_msgpack({{"nome", "Ada"}})), attempt.context()),
            RC_FAILED_PERMANENTLY);
  EXPECT_EQ(attempt.error, "field \"nome\" is not known; known are name");
}

struct Refused {
  const char* name;
  const char* reason;
};

class LoaderRefuses : public testing::TestWithParam<Refused> {};

TEST_P(LoaderRefuses, WithAReason) {
  const Result<LoadedPlugin> plugin = LoadedPlugin::open(fixture(GetParam().name));
  ASSERT_FALSE(plugin.ok());
  EXPECT_EQ(plugin.error().code, ErrorCode::PluginRefused);
  EXPECT_THAT(plugin.error().detail, HasSubstr(fixture(GetParam().name)));
  EXPECT_THAT(plugin.error().detail, HasSubstr(GetParam().reason));
}

INSTANTIATE_TEST_SUITE_P(
    Fixtures, LoaderRefuses,
    testing::Values(Refused{"no_symbol", "does not export rc_plugin_get"}, Refused{"null_table", "gave nothing"},
                    Refused{"wrong_abi", "built for plugin ABI 2, this worker has 1"},
                    Refused{"short_table", "a size that ABI 1 does not have"},
                    Refused{"short_handlers", "a size that ABI 1 does not have"},
                    Refused{"endless", "a size that ABI 1 does not have"}, Refused{"no_handlers", "offers no handler"},
                    Refused{"null_handlers", "offers no handler"}, Refused{"bad_name", "\"Upper Case\" is not 1 to 64"},
                    Refused{"long_name", "is not 1 to 64"}, Refused{"duplicate", "two handlers are named \"twice\""},
                    Refused{"null_create", "lacks one of"}, Refused{"null_run", "lacks one of"},
                    Refused{"null_destroy", "lacks one of"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Loader, RefusesWhatIsNoLibrary) {
  const test::TemporaryDirectory directory;
  const Result<LoadedPlugin> missing = LoadedPlugin::open(directory.path() / "missing.so");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::PluginNotFound);
  for (const std::string text : {"", "not an ELF file, whatever its name says"}) {
    const Result<LoadedPlugin> plugin = LoadedPlugin::open(directory.write("text.so", text));
    ASSERT_FALSE(plugin.ok());
    EXPECT_EQ(plugin.error().code, ErrorCode::PluginRefused);
    EXPECT_THAT(plugin.error().detail, HasSubstr("not a shared library that loads here"));
  }
  const Result<LoadedPlugin> folder = LoadedPlugin::open(directory.path());
  ASSERT_FALSE(folder.ok());
  EXPECT_EQ(folder.error().code, ErrorCode::PluginRefused);
}

TEST(Loader, AReplacedFileGivesTheNewCodeOnceTheOldIsGone) {
  const test::TemporaryDirectory directory;
  const auto place = directory.path() / "p.so";
  std::filesystem::copy_file(fixture("sound"), place);
  {
    const Result<LoadedPlugin> old = LoadedPlugin::open(place);
    ASSERT_TRUE(old.ok());
    EXPECT_EQ(old.value().name(), "sound");
  }
  std::filesystem::copy_file(fixture("cpp"), directory.path() / "next");
  std::filesystem::rename(directory.path() / "next", place);
  const Result<LoadedPlugin> fresh = LoadedPlugin::open(place);
  ASSERT_TRUE(fresh.ok());
  EXPECT_EQ(fresh.value().name(), "cpp");
}

}  // namespace
}  // namespace retire
