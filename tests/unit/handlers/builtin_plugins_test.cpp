// The built-in handlers out of their libraries, as a worker gets them.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "plugins/loader/loaded_plugin.hpp"
#include "plugins/loader/scan.hpp"
#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire {
namespace {

using nlohmann::json;

struct Builtin {
  bool off_by_default;
  json payload;
};

const std::map<std::string, Builtin> kBuiltins = {
    {"command", {true, {{"command", {"true"}}}}},
    {"echo", {false, "hello"}},
    {"http_request", {false, {}}},
    {"python_eval", {true, {{"expression", "2 + 2"}}}},
    {"sleep", {false, {{"duration", 0}}}},
    {"system_info", {false, json::object()}},
};

TEST(BuiltinPlugins, EachLoadsAndRuns) {
  const rc_setup setup{sizeof(rc_setup), {nullptr, 0}, {nullptr, 0}};
  for (const auto& [name, builtin] : kBuiltins) {
    const Result<LoadedPlugin> plugin = LoadedPlugin::open(std::string(RC_PLUGIN_DIR) + "/" + name + ".so");
    ASSERT_TRUE(plugin.ok()) << plugin.error().detail;
    ASSERT_EQ(plugin.value().handlers().size(), 1u);
    const HandlerInfo& handler = plugin.value().handlers()[0];
    EXPECT_EQ(handler.name, name);
    EXPECT_EQ(handler.off_by_default, builtin.off_by_default) << name;
    EXPECT_FALSE(handler.description.empty());
    EXPECT_TRUE(json::accept(handler.payload_schema)) << name;
    Result<HandlerInstance> instance = plugin.value().make(name, setup);
    ASSERT_TRUE(instance.ok()) << instance.error().detail;
    if (builtin.payload.is_null()) continue;
    test::FakeAttempt attempt;
    EXPECT_EQ(instance.value().run(test::as_bytes(test::to_msgpack(builtin.payload)), attempt.context()), RC_OK)
        << name << ": " << attempt.error;
    EXPECT_TRUE(attempt.result_json().is_object());
  }
}

TEST(BuiltinPlugins, TheScanFindsThem) {
  const auto found = scan_plugins(RC_PLUGIN_DIR);
  ASSERT_TRUE(found.ok());
  for (const auto& [name, builtin] : kBuiltins) {
    const auto is_it = [&, &wanted = name](const auto& path) { return path.stem() == wanted; };
    EXPECT_TRUE(std::any_of(found.value().files.begin(), found.value().files.end(), is_it)) << name;
  }
}

}  // namespace
}  // namespace retire
