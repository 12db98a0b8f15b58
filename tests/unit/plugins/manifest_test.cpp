// Manifests: the text, and finding it in a library that is not loaded.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "common/base/rng.hpp"
#include "plugins/manifest/manifest.hpp"
#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path kFixtures = RC_FIXTURE_DIR;

TEST(Manifest, EverythingThatMayBeSaid) {
  const auto read = parse_manifest(R"({"name": "thumbs", "version": "2.1",
    "needs": {"network": true, "subprocess": true, "paths": ["/srv/pictures"]},
    "limits": {"memory_mb": 512, "file_mb": 100, "open_files": 64, "processes": 8, "cpu_seconds": 60},
    "handlers": {"thumb": {"type": "object", "required": ["url"]}, "any": true}})");
  ASSERT_TRUE(read.ok()) << read.error().detail;
  const PluginManifest& manifest = read.value();
  EXPECT_EQ(manifest.name, "thumbs");
  EXPECT_EQ(manifest.version, "2.1");
  EXPECT_TRUE(manifest.needs.network);
  EXPECT_TRUE(manifest.needs.subprocess);
  EXPECT_THAT(manifest.needs.paths, ElementsAre("/srv/pictures"));
  EXPECT_EQ(manifest.limits.memory_bytes, 512u << 20);
  EXPECT_EQ(manifest.limits.file_bytes, 100u << 20);
  EXPECT_EQ(manifest.limits.open_files, 64u);
  EXPECT_EQ(manifest.limits.processes, 8u);
  EXPECT_EQ(manifest.limits.cpu_seconds, 60u);
  EXPECT_EQ(manifest.schemas.at("any"), "true");

  const auto again = parse_manifest(to_json_text(manifest));
  ASSERT_TRUE(again.ok()) << again.error().detail;
  EXPECT_EQ(to_json_text(again.value()), to_json_text(manifest));
  EXPECT_EQ(again.value().schemas, manifest.schemas);
}

TEST(Manifest, NothingNeedBeSaid) {
  const auto read = parse_manifest("{}");
  ASSERT_TRUE(read.ok());
  EXPECT_FALSE(read.value().needs.network);
  EXPECT_FALSE(read.value().needs.subprocess);
  EXPECT_FALSE(read.value().limits.memory_bytes.has_value());
  EXPECT_TRUE(read.value().name.empty());
}

struct Refused {
  const char* name;
  std::string text;
  const char* why;
};
class ManifestRefused : public testing::TestWithParam<Refused> {};

TEST_P(ManifestRefused, NamesKeyValueAndRule) {
  const auto read = parse_manifest(GetParam().text);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::Invalid);
  EXPECT_THAT(read.error().detail, HasSubstr(GetParam().why));
  EXPECT_THAT(read.error().detail, testing::StartsWith("manifest "));
  EXPECT_EQ(read.error().detail.find('\n'), std::string::npos);
  EXPECT_LT(read.error().detail.size(), 1000u);
}

INSTANTIATE_TEST_SUITE_P(
    Each, ManifestRefused,
    testing::Values(
        Refused{"Empty", "", "is not JSON"}, Refused{"CutShort", R"({"name": "a)", "is not JSON"},
        Refused{"TrailingText", "{} x", "is not JSON"}, Refused{"List", "[]", "must be an object, and is []"},
        Refused{"UnknownKey", R"({"need": {}})",
                "as a whole: the key \"need\" is not known; known are name, version, needs, limits, handlers"},
        Refused{"UnknownNeed", R"({"needs": {"gpu": true}})",
                "/needs: the key \"gpu\" is not known; known are network"},
        Refused{"UnknownLimit", R"({"limits": {"memory": 1}})", "/limits: the key \"memory\" is not known"},
        Refused{"LongKey", "{\"" + std::string(10'000, 'k') + "\": 1}", "is not known"},
        Refused{"KeyTwice", R"({"needs": {}, "needs": {}})", "stands twice"},
        Refused{"Name", R"({"name": 5})", "/name must be a string of 1 to 128 bytes on one line, and is 5"},
        Refused{"LongName", "{\"name\": \"" + std::string(129, 'x') + "\"}", "/name must be"},
        Refused{"TwoLines", R"({"version": "1\n2"})", "/version must be"},
        Refused{"NetworkText", R"({"needs": {"network": "yes"}})",
                "/needs/network must be true or false, and is \"yes\""},
        Refused{"RelativePath", R"({"needs": {"paths": ["/a", "b"]}})", "/needs/paths/1 must be an absolute directory"},
        Refused{"ClimbingPath", R"({"needs": {"paths": ["/a/../etc"]}})", "/needs/paths/0 must be"},
        Refused{"PathWithNul", R"({"needs": {"paths": ["/a\u0000b"]}})", "/needs/paths/0 must be"},
        Refused{"LimitText", R"({"limits": {"memory_mb": "512"}})",
                "/limits/memory_mb must be a whole number from 16 to 16777216, and is \"512\""},
        Refused{"LimitNegative", R"({"limits": {"cpu_seconds": -1}})", "/limits/cpu_seconds must be"},
        Refused{"LimitZero", R"({"limits": {"processes": 0}})", "/limits/processes must be"},
        Refused{"LimitFraction", R"({"limits": {"open_files": 64.5}})", "/limits/open_files must be"},
        Refused{"LimitHuge", R"({"limits": {"file_mb": 18446744073709551615}})", "/limits/file_mb must be"},
        Refused{"HandlerName", R"({"handlers": {"Upper Case": {}}})", "/handlers: \"Upper Case\" is no task type"},
        Refused{"HandlerSchema", R"({"handlers": {"a": {"type": "text"}}})",
                "/handlers/a: schema at /type: \"text\" is no type"},
        Refused{"RemoteSchema", R"({"handlers": {"a": {"$ref": "https://example.org/s"}}})",
                "leads out of this schema"},
        Refused{"TooLarge", "{\"name\": \"" + std::string(kManifestBytesMax, 'x') + "\"}", "bytes; at most 262144"},
        Refused{"TooDeep", std::string(100, '[') + std::string(100, ']'), "is not JSON"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(ManifestAndTable, AreJoined) {
  const std::vector<DeclaredHandler> handlers = {{"a", R"({"type":"null"})"}, {"b", ""}, {"c", ""}};
  const auto joined =
      join_table(parse_manifest(R"({"name": "p", "handlers": {"b": true}})").value(), "p", "1", handlers);
  ASSERT_TRUE(joined.ok()) << joined.error().detail;
  EXPECT_EQ(joined.value().version, "1");
  EXPECT_EQ(joined.value().schemas, (std::map<std::string, std::string>{{"a", R"({"type":"null"})"}, {"b", "true"}}));

  const auto why = [&](const std::string& manifest, const std::vector<DeclaredHandler>& table) {
    const auto read = parse_manifest(manifest);
    EXPECT_TRUE(read.ok()) << read.error().detail;
    const auto one = join_table(read.value(), "p", "1", table);
    return one.ok() ? std::string() : one.error().detail;
  };
  EXPECT_THAT(why(R"({"name": "q"})", handlers),
              HasSubstr("manifest /name is \"q\", and the plugin's own name is \"p\""));
  EXPECT_THAT(why(R"({"version": "2"})", handlers), HasSubstr("manifest /version is \"2\""));
  EXPECT_THAT(why(R"({"handlers": {"d": true}})", handlers), HasSubstr("/handlers/d: the plugin has no such handler"));
  EXPECT_THAT(why(R"({"handlers": {"a": true}})", handlers), HasSubstr("keep one of the two"));
  EXPECT_THAT(why("{}", {{"a", R"({"type":"text"})"}}), HasSubstr("handler a: schema at /type: \"text\" is no type"));
}

TEST(ManifestInAFile, IsReadWithoutLoadingIt) {
  const auto c = read_manifest_text(kFixtures / "with_manifest.so");
  ASSERT_TRUE(c.ok()) << c.error().detail;
  EXPECT_EQ(c.value(), R"({"needs": {"subprocess": true}})");
  const auto cpp = read_manifest_text(kFixtures / "cpp.so");
  ASSERT_TRUE(cpp.ok()) << cpp.error().detail;
  const auto parsed = parse_manifest(cpp.value());
  ASSERT_TRUE(parsed.ok()) << parsed.error().detail;
  EXPECT_TRUE(parsed.value().needs.network);
}

TEST(ManifestInAFile, MayBeAbsent) {
  const auto old = read_manifest_text(kFixtures / "sound.so");
  ASSERT_TRUE(old.ok()) << old.error().detail;
  EXPECT_EQ(old.value(), "");
}

TEST(ManifestInAFile, WhatIsNoLibraryIsRefused) {
  const test::TemporaryDirectory directory;
  EXPECT_EQ(read_manifest_text(directory.path() / "none.so").error().code, ErrorCode::PluginNotFound);
  for (const std::string& text : {std::string(),
                                  std::string("\x7f"
                                              "ELF"),
                                  std::string("hello"), std::string(4096, 'x')}) {
    const auto read = read_manifest_text(directory.write("a.so", text));
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::PluginRefused);
    EXPECT_THAT(read.error().detail, HasSubstr("a.so: "));
  }
  EXPECT_EQ(read_manifest_text(directory.path()).error().code, ErrorCode::PluginRefused);
}

// Whatever is wrong with a file, reading it ends, and within it.
TEST(ManifestInAFile, SurvivesEveryCutAndManyFlips) {
  std::ifstream in(kFixtures / "with_manifest.so", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  ASSERT_GT(whole.size(), 1000u);
  const test::TemporaryDirectory directory;
  const std::filesystem::path file = directory.path() / "a.so";
  const std::string manifest = R"({"needs": {"subprocess": true}})";
  std::size_t refused = 0;
  std::size_t read_well = 0;
  for (std::size_t size = 0; size < whole.size(); size += 97) {
    std::ofstream(file, std::ios::binary) << whole.substr(0, size);
    const auto read = read_manifest_text(file);
    if (read.ok()) {
      EXPECT_EQ(read.value(), manifest) << size;  // what is cut off is not always needed
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, whole.size() / 97 / 2);
  Rng rng(7);
  for (int round = 0; round < 2000; ++round) {
    std::string broken = whole;
    // Most of the flips where they matter: in the header and in the table of sections at the end.
    const std::size_t from = round % 3 == 0 ? 0 : round % 3 == 1 ? whole.size() - 2048 : rng.below(whole.size());
    const std::size_t span = round % 3 == 0 ? 64 : round % 3 == 1 ? 2048 : whole.size() - from;
    for (int i = 0; i < 4; ++i) broken[from + rng.below(span)] = static_cast<char>(rng.below(256));
    std::ofstream(file, std::ios::binary) << broken;
    const auto read = read_manifest_text(file);
    if (read.ok()) {
      EXPECT_LE(read.value().size(), kManifestBytesMax);
      ++read_well;
    }
  }
  EXPECT_GT(read_well, 0u);
}

}  // namespace
}  // namespace retire
