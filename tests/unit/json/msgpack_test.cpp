#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "common/json/json.hpp"

namespace retire::json {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string to_msgpack(std::string_view text) {
  std::string out;
  const Status status = msgpack_from_json(text, out);
  EXPECT_TRUE(status.ok()) << text << ": " << status.error().detail;
  return out;
}

std::string back(ByteView msgpack) {
  const Result<Json> json = json_from_msgpack(msgpack);
  return json.ok() ? to_text(json.value()) : "failed: " + json.error().detail;
}

std::string nested(int depth) {
  return std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
}

TEST(Msgpack, IsTheShortestForm) {
  EXPECT_EQ(to_msgpack("{}"), std::string("\x80", 1));
  EXPECT_EQ(to_msgpack("[null,false,true]"), "\x93\xc0\xc2\xc3");
  EXPECT_EQ(to_msgpack(R"({"a":1})"),
            "\x81\xa1"
            "a\x01");
  EXPECT_EQ(to_msgpack("-1"), "\xff");
  EXPECT_EQ(to_msgpack("-33"), "\xd0\xdf");
  EXPECT_EQ(to_msgpack("128"), "\xcc\x80");
  EXPECT_EQ(to_msgpack("65536"), std::string("\xce\x00\x01\x00\x00", 5));
  EXPECT_EQ(to_msgpack("18446744073709551615"), "\xcf\xff\xff\xff\xff\xff\xff\xff\xff");
}

class RoundTrip : public testing::TestWithParam<std::string> {};

TEST_P(RoundTrip, KeepsTheValue) { EXPECT_EQ(back(to_msgpack(GetParam())), GetParam()); }

std::vector<std::string> documents() {
  std::vector<std::string> out = {"null",
                                  "true",
                                  "0",
                                  "-1",
                                  "127",
                                  "128",
                                  "255",
                                  "256",
                                  "65535",
                                  "65536",
                                  "4294967296",
                                  "-32",
                                  "-33",
                                  "-128",
                                  "-129",
                                  "-32769",
                                  "-2147483649",
                                  "-9223372036854775808",
                                  "18446744073709551615",
                                  "1.5",
                                  "-0.25",
                                  "1e+300",
                                  "\"\"",
                                  "\"h\xc3\xa9llo\"",
                                  R"("\"\\\n")",
                                  "[]",
                                  "{}",
                                  R"({"z":1,"a":{"m":[1,2,{"x":null}]},"b":[]})",
                                  nested(kDepthMax)};
  for (const std::size_t size : {31u, 32u, 255u, 256u, 65535u, 65536u}) {
    out.push_back("\"" + std::string(size, 'x') + "\"");
  }
  for (const int count : {15, 16, 65535, 65536}) {
    std::string list;
    std::string map;
    for (int i = 0; i < count; ++i) {
      list += (i == 0 ? "" : ",") + std::to_string(i % 200);
      map += (i == 0 ? "\"k" : ",\"k") + std::to_string(i) + "\":[" + std::to_string(i % 3) + "]";
    }
    out.push_back("[" + list + "]");
    out.push_back("{" + map + "}");
  }
  return out;
}
INSTANTIATE_TEST_SUITE_P(Msgpack, RoundTrip, testing::ValuesIn(documents()),
                         [](const auto& one) { return "Document" + std::to_string(one.index); });

struct Bad {
  const char* name;
  std::string text;
  const char* says;
};
class NotJson : public testing::TestWithParam<Bad> {};

TEST_P(NotJson, IsRefusedInOneLine) {
  std::string out = "before";
  const Status status = msgpack_from_json(GetParam().text, out);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::Invalid);
  EXPECT_THAT(status.error().detail, HasSubstr(GetParam().says));
  EXPECT_THAT(status.error().detail, Not(HasSubstr("\n")));
  EXPECT_EQ(out, "before");
}
INSTANTIATE_TEST_SUITE_P(Msgpack, NotJson,
                         testing::Values(Bad{"Empty", "", "line 1, column 1"}, Bad{"Word", "hello", "column 1"},
                                         Bad{"CutShort", "{\"a\":", "column 6"}, Bad{"Trailing", "{} x", "column 4"},
                                         Bad{"SingleQuotes", "{'a':1}", "column 2"},
                                         Bad{"TrailingComma", "[1,]", "column 4"}, Bad{"Nan", "NaN", "column"},
                                         Bad{"LeadingZero", "01", "column"}, Bad{"Overflow", "1e999", "1e999"},
                                         Bad{"NotUtf8", "\"\xff\"", "UTF-8"},
                                         Bad{"LoneSurrogate", R"("\ud800")", "surrogate"},
                                         Bad{"ControlCharacter", "\"a\nb\"", "control character"},
                                         Bad{"Twice", R"({"a":1,"b":{"c":1},"a":2})", "the key \"a\" stands twice"},
                                         Bad{"TwiceInside", R"([{"x":{"k":1,"k":1}}])", "the key \"k\" stands twice"},
                                         Bad{"TooDeep", nested(kDepthMax + 1), "more than 64 levels"},
                                         Bad{"FarTooDeep", std::string(1'000'000, '['), "more than 64 levels"}),
                         [](const auto& one) { return std::string(one.param.name); });

TEST(Msgpack, SameKeyInOtherObjectsIsFine) {
  EXPECT_EQ(back(to_msgpack(R"([{"a":1},{"a":2},{"b":{"a":3},"a":4}])")), R"([{"a":1},{"a":2},{"b":{"a":3},"a":4}])");
}

TEST(Msgpack, WhatJsonLacksIsShown) {
  EXPECT_EQ(back(std::string("\xc4\x03\x00\x01\x02", 5)), R"("AAEC")");  // bin
  EXPECT_EQ(back("\xd4\x05z"), R"({"ext":5,"base64":"eg=="})");          // fixext 1
  EXPECT_EQ(back(std::string("\xcb\x7f\xf8\0\0\0\0\0\0", 9)), "null");   // NaN
  EXPECT_EQ(back("\x81\x01\xa1x"), R"({"1":"x"})");                      // a whole number as key
  EXPECT_EQ(back("\x81\x91\x01\xc0"), R"({"[1]":null})");                // a list as key
  EXPECT_EQ(back("\xa2\xff"
                 "a"),
            "\"\xef\xbf\xbd"
            "a\"");                                                // not UTF-8
  EXPECT_EQ(back(std::string("\xca\x3f\x00\x00\x00", 5)), "0.5");  // float 32
}

class NotMsgpack : public testing::TestWithParam<std::pair<const char*, std::string>> {};
TEST_P(NotMsgpack, IsRefusedAndShownAsBase64) {
  const std::string& bytes = GetParam().second;
  const Result<Json> json = json_from_msgpack(bytes);
  ASSERT_FALSE(json.ok());
  EXPECT_EQ(json.error().code, ErrorCode::Malformed);
  EXPECT_TRUE(show_msgpack(bytes).contains("base64"));
}
INSTANTIATE_TEST_SUITE_P(Msgpack, NotMsgpack,
                         testing::Values(std::pair{"Empty", std::string()}, std::pair{"NeverUsed", std::string("\xc1")},
                                         std::pair{"CutText", std::string("\xa5hi")},
                                         std::pair{"CutList", std::string("\x92\x01")},
                                         std::pair{"HugeList", std::string("\xdd\xff\xff\xff\xff")},
                                         std::pair{"HugeBin", std::string("\xc6\xff\xff\xff\xff")},
                                         std::pair{"HugeMap", std::string("\xdf\xff\xff\xff\xff\x01")},
                                         std::pair{"TwoValues", std::string("\x01\x02")},
                                         std::pair{"TooDeep", std::string(65, '\x91') + "\x01"},
                                         std::pair{"FarTooDeep", std::string(1'000'000, '\x91')}),
                         [](const auto& one) { return std::string(one.param.first); });

TEST(Base64, PadsTheEnd) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

}  // namespace
}  // namespace retire::json
