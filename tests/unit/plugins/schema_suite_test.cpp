// The official tests of JSON Schema draft 7 (Debian: json-schema-test-suite), all of them but those of what is left
// out.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "common/json/json.hpp"
#include "plugins/manifest/schema.hpp"

namespace retire {
namespace {

using json::Json;

const std::filesystem::path kSuite = "/usr/share/json-schema-test-suite/tests/draft7";

// Whole schemas that are refused, with a part of the reason: the one list of what of draft 7 is not there.
const std::map<std::string, std::string> kRefused = {
    {"ref.json: escaped pointer ref", "is not a keyword"},
    {"ref.json: ref overrides any sibling keywords", "stands beside $ref"},
    {"ref.json: remote ref, containing refs itself", "leads out of this schema"},
    {"ref.json: Recursive references between schemas", "leads out of this schema"},
    {"ref.json: Location-independent identifier", "is not a JSON Pointer"},
    {"ref.json: Location-independent identifier with base URI change in subschema", "leads out of this schema"},
    {"ref.json: Location-independent identifier with absolute URI", "leads out of this schema"},
    {"definitions.json: valid definition", "leads out of this schema"},
    {"definitions.json: invalid definition", "leads out of this schema"},
    {"definitions.json: validate definition against metaschema", "leads out of this schema"},
};

TEST(SchemaSuite, Draft7) {
  if (!std::filesystem::exists(kSuite)) {
    GTEST_SKIP() << "skipped: " << kSuite << " is not there (scripts/install-deps.sh --test installs it)";
  }
  std::set<std::string> refused;
  std::set<std::string> groups;  // editions of the suite differ in what they have
  std::size_t checked = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kSuite)) {
    const std::string file = entry.path().filename().string();
    if (entry.path().extension() != ".json" || file == "refRemote.json") continue;
    std::ifstream in(entry.path());
    for (const Json& group : Json::parse(in)) {
      const std::string name = file + ": " + group["description"].get<std::string>();
      groups.insert(name);
      const auto schema = PayloadSchema::compile(json::to_text(group["schema"]));
      if (!schema.ok()) {
        const auto expected = kRefused.find(name);
        EXPECT_NE(expected, kRefused.end()) << name << ": " << schema.error().detail;
        if (expected == kRefused.end()) continue;
        EXPECT_NE(schema.error().detail.find(expected->second), std::string::npos)
            << name << ": " << schema.error().detail;
        refused.insert(name);
        continue;
      }
      for (const Json& test : group["tests"]) {
        std::string payload;
        ASSERT_TRUE(json::msgpack_from_json(json::to_text(test["data"]), payload).ok()) << name;
        const auto fault =
            schema.value().check({reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size()});
        EXPECT_EQ(!fault.has_value(), test["valid"].get<bool>())
            << name << ": " << test["description"] << ": " << (fault ? fault->text() : "fits");
        ++checked;
      }
    }
  }
  EXPECT_GT(checked, 350u);
  RecordProperty("checked", static_cast<int>(checked));
  for (const auto& [name, why] : kRefused) {
    EXPECT_EQ(refused.contains(name), groups.contains(name)) << name << " is not refused any more";
  }
}

}  // namespace
}  // namespace retire
