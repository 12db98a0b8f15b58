// Payloads against schemas: what is said of a fault, and what hostile schemas and payloads can do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <string>

#include "common/json/json.hpp"
#include "plugins/manifest/schema.hpp"

namespace retire {
namespace {

using testing::HasSubstr;

std::string packed(const std::string& json_text) {
  std::string out;
  const Status status = json::msgpack_from_json(json_text, out);
  EXPECT_TRUE(status.ok()) << json_text;
  return out;
}

retire_cluster::Bytes bytes_of(const std::string& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

// The fault in words; empty: it fits.
std::string fault_in_bytes(const std::string& schema, const std::string& payload) {
  const auto compiled = PayloadSchema::compile(schema);
  if (!compiled.ok()) return "SCHEMA REFUSED: " + compiled.error().detail;
  const auto fault = compiled.value().check(bytes_of(payload));
  return fault ? fault->text() : "";
}
std::string fault(const std::string& schema, const std::string& payload) {
  return fault_in_bytes(schema, packed(payload));
}

std::string refusal(const std::string& schema) {
  const auto compiled = PayloadSchema::compile(schema);
  if (compiled.ok()) return "";
  EXPECT_EQ(compiled.error().code, ErrorCode::Invalid);
  EXPECT_EQ(compiled.error().detail.find('\n'), std::string::npos);
  return compiled.error().detail;
}

struct Fault {
  const char* name;
  const char* schema;
  const char* payload;
  const char* text;
};
class SchemaFault : public testing::TestWithParam<Fault> {};

TEST_P(SchemaFault, NamesTheField) { EXPECT_EQ(fault(GetParam().schema, GetParam().payload), GetParam().text); }

INSTANTIATE_TEST_SUITE_P(
    Each, SchemaFault,
    testing::Values(
        Fault{"Root", R"({"type":"object"})", "[1]", "payload must be a map, got list"},
        Fault{"Field", R"({"properties":{"duration":{"type":"number"}}})", R"({"duration":"x"})",
              R"(field "/duration" must be a number, got string)"},
        Fault{"SeveralTypes", R"({"properties":{"a":{"type":["number","null"]}}})", R"({"a":true})",
              R"(field "/a" must be a number or null, got boolean)"},
        Fault{"Missing", R"({"required":["a","b"]})", R"({"a":1})", R"(field "/b" is missing)"},
        Fault{"Unknown", R"({"properties":{"a":{},"b":{}},"additionalProperties":false})", R"({"c":1})",
              R"(field "/c" is not known; known are a, b)"},
        Fault{"Deep", R"({"properties":{"a":{"items":{"properties":{"b/c~d":{"type":"integer"}}}}}})",
              R"({"a":[{},{"b/c~d":1.5}]})", R"(field "/a/1/b~1c~0d" must be an integer, got number)"},
        Fault{"Minimum", R"({"minimum":0})", "-1", "payload must be at least 0, got -1"},
        Fault{"ExclusiveMaximum", R"({"exclusiveMaximum":1.5})", "1.5", "payload must be less than 1.5, got 1.5"},
        Fault{"MultipleOf", R"({"multipleOf":0.01})", "0.015", "payload must be a multiple of 0.01, got 0.015"},
        Fault{"Large", R"({"maximum":9007199254740992})", "9007199254740993",
              "payload must be at most 9007199254740992, got 9007199254740993"},
        Fault{"Length", R"({"minLength":2})", R"("é")", "payload must have at least 2 characters, has 1"},
        Fault{"Pattern", R"({"pattern":"^[a-z]+$"})", R"("aB")",
              R"(payload must match the pattern "^[a-z]+$", got "aB")"},
        Fault{"Enum", R"({"enum":["GET",1,null]})", R"("PUT")", R"(payload must be one of "GET", 1, null, got "PUT")"},
        Fault{"Const", R"({"const":[1]})", "[2]", "payload must be a list of 1, got a list of 1"},
        Fault{"Items", R"({"minItems":1})", "[]", "payload must have at least 1 item, has 0"},
        Fault{"Repeated", R"({"uniqueItems":true})", R"([{"a":1,"b":2},3,{"b":2,"a":1.0}])",
              R"(field "/2" is there twice, and each item must be another)"},
        Fault{"Contains", R"({"contains":{"type":"null"}})", "[1]", "payload must have an item that fits \"contains\""},
        Fault{"Names", R"({"propertyNames":{"maxLength":2}})", R"({"abc":1})",
              R"(field "/abc" has a name that is not allowed: it must have at most 2 characters, has 3)"},
        Fault{"Dependency", R"({"dependencies":{"a":["b"]}})", R"({"a":1})",
              R"(field "/b" is missing; "a" asks for it)"},
        Fault{"AnyOfHere", R"({"properties":{"c":{"anyOf":[{"type":"string"},{"type":"array"}]}}})", R"({"c":5})",
              R"(field "/c" must be a string, got integer; or must be a list, got integer)"},
        Fault{"AnyOfDeeper", R"({"anyOf":[{"type":"string"},{"items":{"type":"string"}}]})", "[1]",
              R"(field "/0" must be a string, got integer)"},
        Fault{"OneOf", R"({"oneOf":[{"minimum":1},{"minimum":2}]})", "3",
              "payload must fit exactly one of 2 alternatives, and fits number 1 and number 2"},
        Fault{"Not", R"({"not":{"type":"string"}})", R"("x")", "payload must not fit the schema under \"not\""},
        Fault{"Then", R"({"if":{"required":["a"]},"then":{"required":["b"]}})", R"({"a":1})",
              R"(field "/b" is missing)"},
        Fault{"Never", R"({"properties":{"a":false}})", R"({"a":1})", R"(field "/a" is not allowed here)"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST(Schema, WhatJsonLacksIsOfNoType) {
  EXPECT_EQ(fault_in_bytes(R"({"type":"string"})", std::string("\xc4\x01x", 3)),
            "payload must be a string, got binary");
  const std::string infinity("\xcb\x7f\xf0\0\0\0\0\0\0", 9);
  EXPECT_EQ(fault_in_bytes(R"({"type":"number"})", infinity),
            "payload must be a number, got a number that is not finite");
  EXPECT_EQ(
      fault_in_bytes(R"({"type":"object","required":["a"],"properties":{"a":{}}})", std::string("\x81\x01\x02", 3)),
      "payload must have strings as keys, got integer");
  EXPECT_EQ(fault_in_bytes("{}", std::string("\xc4\x01x", 3)), "");
}

TEST(Schema, AFieldThatComesTwiceIsCheckedBothTimes) {
  const std::string twice(
      "\x82\xa1"
      "a\x01\xa1"
      "a\xa1x",
      8);
  EXPECT_EQ(fault_in_bytes(R"({"properties":{"a":{"type":"integer"}}})", twice),
            R"(field "/a" must be an integer, got string)");
}

TEST(Schema, TextFromOutsideStaysOneBoundedLine) {
  const std::string name(5000, 'n');
  const std::string text = fault(R"({"additionalProperties":{"type":"null"}})", "{\"a\\n\\u0001" + name + "\":1}");
  EXPECT_LT(text.size(), 500u);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_THAT(text, HasSubstr("/a??nnn"));
}

TEST(Schema, SaysWhenNothingCanFail) {
  for (const char* schema : {"true", "{}", R"({"title":"t","definitions":{"a":{"type":"string"}}})"}) {
    EXPECT_TRUE(PayloadSchema::compile(schema).value().accepts_everything()) << schema;
  }
  for (const char* schema : {"false", R"({"type":"object"})", R"({"$ref":"#/definitions/a","definitions":{"a":{}}})"}) {
    EXPECT_FALSE(PayloadSchema::compile(schema).value().accepts_everything()) << schema;
  }
}

struct Refusal {
  const char* name;
  std::string schema;
  const char* text;
};
class SchemaRefused : public testing::TestWithParam<Refusal> {};

TEST_P(SchemaRefused, NamesThePlaceAndTheReason) {
  const std::string why = refusal(GetParam().schema);
  EXPECT_THAT(why, HasSubstr(GetParam().text));
  EXPECT_LT(why.size(), 700u);
}

std::string nested(std::size_t levels, const std::string& open, const std::string& close) {
  std::string out;
  for (std::size_t i = 0; i < levels; ++i) out += open;
  out += "true";
  for (std::size_t i = 0; i < levels; ++i) out += close;
  return out;
}

std::string many(const std::string& one, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? "" : ",") + one;
  return out;
}

// Each definition stands for the next one.
std::string chain(int links) {
  std::string out = R"({"$ref":"#/definitions/0","definitions":{)";
  for (int i = 0; i < links; ++i) {
    out += '"' + std::to_string(i) + R"(":{"$ref":"#/definitions/)" + std::to_string(i + 1) + "\"},";
  }
  return out + '"' + std::to_string(links) + "\":{}}}";
}

INSTANTIATE_TEST_SUITE_P(
    Each, SchemaRefused,
    testing::Values(
        Refusal{"NotJson", "{", "schema is not JSON: "}, Refusal{"Empty", "", "schema is not JSON: "},
        Refusal{"NoSchema", "5", "schema: a schema must be an object, true or false, and this is 5"},
        Refusal{"TwoOfAKey", R"({"type":"null","type":"string"})", "stands twice"},
        Refusal{"Misspelt", R"({"properties":{"a":{"requird":["x"]}}})",
                "schema at /properties/a/requird: is not a keyword"},
        Refusal{"NewerKeyword", R"({"unevaluatedProperties":false})", "is not a keyword of JSON Schema draft 7"},
        Refusal{"NewerDialect", R"({"$schema":"https://json-schema.org/draft/2020-12/schema"})", "is not known here"},
        Refusal{"Type", R"({"type":"map"})", "schema at /type: \"map\" is no type; the types are null"},
        Refusal{"Minimum", R"({"minimum":"1"})", "schema at /minimum: must be a number, and is \"1\""},
        Refusal{"MinLength", R"({"minLength":-1})", "must be a whole number from 0, and is -1"},
        Refusal{"MultipleOf", R"({"multipleOf":0})", "must be more than 0"},
        Refusal{"Required", R"({"required":["a",1]})", "schema at /required/1: must be a string, and is 1"},
        Refusal{"RequiredTwice", R"({"required":["a","a"]})", "names a field twice"},
        Refusal{"Properties", R"({"properties":[]})", "must be an object, and is a list of 0"},
        Refusal{"AnyOfNothing", R"({"anyOf":[]})", "must hold at least one schema"},
        Refusal{"Pattern", R"({"pattern":"("})", "is no pattern that is matched here"},
        Refusal{"LookAhead", R"({"pattern":"(?=a)b"})", "is no pattern that is matched here"},
        Refusal{"BackReference", R"({"pattern":"(a)\\1"})", "is no pattern that is matched here"},
        Refusal{"PatternOfGreatSize", R"({"pattern":"((a{0,1000}){0,1000}){0,1000}"})", "is no pattern"},
        Refusal{"LongPattern", "{\"pattern\":\"" + std::string(kPatternBytesMax + 1, 'a') + "\"}",
                "a pattern of 1025 bytes; at most 1024"},
        Refusal{"PatternOfNames", R"({"patternProperties":{"[":{}}})", "schema at /patternProperties/[: "},
        Refusal{
            "RemoteReference", R"({"items":{"$ref":"http://127.0.0.1:1/schema.json"}})",
            "schema at /items/$ref: \"http://127.0.0.1:1/schema.json\" leads out of this schema; nothing is fetched"},
        Refusal{"FileReference", R"({"$ref":"file:///etc/passwd"})", "leads out of this schema"},
        Refusal{"RelativeReference", R"({"$ref":"other.json#/a"})", "leads out of this schema"},
        Refusal{"NamedReference", R"({"$ref":"#name"})", "is not a JSON Pointer"},
        Refusal{"NoTarget", R"({"$ref":"#/definitions/none"})", "\"#/definitions/none\" is not there"},
        Refusal{"ReferenceToNoSchema", R"({"properties":{"a":{"$ref":"#/title"}},"title":"t"})",
                "a schema must be an object"},
        Refusal{"BesideReference", R"({"$ref":"#/definitions/a","minimum":1,"definitions":{"a":{}}})",
                "stands beside $ref"},
        Refusal{"IdBelowTheRoot", R"({"items":{"$id":"x"}})", "is not a keyword"},
        Refusal{"ItselfAtOnce", R"({"$ref":"#"})", "refers to itself without going into the value"},
        Refusal{"ItselfByWays", R"({"allOf":[{"$ref":"#/definitions/a"}],"definitions":{"a":{"not":{"$ref":"#"}}}})",
                "refers to itself without going into the value"},
        Refusal{"LongChain", chain(100), "more than 64 schemas in each other"},
        Refusal{"TooLarge", "{\"title\":\"" + std::string(kSchemaBytesMax, 'x') + "\"}", "bytes; at most 65536"},
        Refusal{"TooDeep", nested(40, R"({"not":{"items":)", "}}"), "is not JSON: "},
        Refusal{"TooMany", "{\"anyOf\":[" + many("{}", 5000) + "]}", "more than 4096 subschemas"},
        Refusal{"TooManyPatterns", "{\"allOf\":[" + many(R"({"pattern":"a"})", 300) + "]}", "more than 256 patterns"}),
    [](const auto& tested) { return std::string(tested.param.name); });

// What takes too long elsewhere; the test's own time limit is what would fail.
TEST(SchemaUnderAttack, APatternThatBacktrackersNeverFinish) {
  const std::string text = '"' + std::string(2'000'000, 'a') + "b\"";
  EXPECT_THAT(fault(R"({"pattern":"^(a+)+$"})", text), HasSubstr("must match the pattern"));
  EXPECT_THAT(fault(R"({"pattern":"^(a|a|aa)*$"})", text), HasSubstr("must match the pattern"));
}

TEST(SchemaUnderAttack, AlternativesThatDoubleAtEachStepEnd) {
  std::string schema = R"({"$ref":"#/definitions/0","definitions":{)";
  for (int i = 0; i < 30; ++i) {
    const std::string next = R"({"$ref":"#/definitions/)" + std::to_string(i + 1) + "\"}";
    schema += '"' + std::to_string(i) + "\":{\"allOf\":[" + next + ',' + next + "]},";
  }
  schema += R"("30":{"type":"null"}}})";
  EXPECT_THAT(fault(schema, "null"), HasSubstr("takes more than can be spent"));
  EXPECT_THAT(fault(schema, "1"), HasSubstr("must be null"));
}

TEST(SchemaUnderAttack, UniqueItemsOfManyAreNotComparedEachWithEach) {
  std::string items;
  for (int i = 0; i < 200'000; ++i) items += (i == 0 ? "" : ",") + std::to_string(i);
  EXPECT_EQ(fault(R"({"uniqueItems":true})", '[' + items + ']'), "");
  EXPECT_EQ(fault(R"({"uniqueItems":true})", '[' + items + ",0]"),
            R"(field "/200000" is there twice, and each item must be another)");
}

TEST(SchemaUnderAttack, ItemsThatAllHashAlikeAreGivenUp) {
  std::string list = std::string("\xdd\x00\x00\x40\x00", 5);  // 16384 extensions of one type, all different
  for (int i = 0; i < 16'384; ++i) {
    list += std::string("\xd5\x01", 2) + static_cast<char>(i >> 8) + static_cast<char>(i & 0xff);
  }
  EXPECT_THAT(fault_in_bytes(R"({"uniqueItems":true})", list), HasSubstr("takes more than can be spent"));
}

TEST(SchemaUnderAttack, APayloadAsDeepAsAllowedAgainstASchemaThatFollowsIt) {
  const char* follows =
      R"({"$ref":"#/definitions/a","definitions":{"a":{"allOf":[{"anyOf":[{"items":{"$ref":"#"}}]}]}}})";
  EXPECT_EQ(fault_in_bytes(follows, std::string(64, '\x91') + '\x01'), "");
  EXPECT_EQ(fault_in_bytes(follows, std::string(70, '\x91') + '\x01'),
            "payload is nested too deeply (more than 64 levels)");
}

TEST(SchemaUnderAttack, BytesThatAreNoMsgpack) {
  for (const std::string& bytes :
       {std::string(), std::string("\xc1"), std::string("\xdf\xff\xff\xff\xff"), std::string("\x91")}) {
    EXPECT_THAT(fault_in_bytes(R"({"type":"object"})", bytes), testing::StartsWith("payload "));
  }
}

}  // namespace
}  // namespace retire
