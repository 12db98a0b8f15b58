#include <gtest/gtest.h>

#include <retire_cluster/msgpack_check.hpp>
#include <string>

#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire {
namespace {

using nlohmann::json;
namespace rc = retire_cluster;

const char* check(const std::string& bytes, std::size_t items_max = rc::kItemsMax) {
  return rc::check_value({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, items_max);
}

TEST(MsgpackCheck, AcceptsEveryKindOfValue) {
  const json values = {nullptr,
                       true,
                       0,
                       127,
                       128,
                       65536,
                       4294967296,
                       -1,
                       -33,
                       -40000,
                       -5000000000,
                       1.5,
                       "",
                       std::string(40, 'a'),
                       std::string(300, 'b'),
                       std::string(70000, 'c'),
                       json::array(),
                       json::object(),
                       {{"a", {1, 2}}}};
  for (const json& value : values) EXPECT_EQ(check(test::to_msgpack(value)), nullptr) << value.dump().substr(0, 40);
  EXPECT_EQ(check(test::to_msgpack(values)), nullptr);
  EXPECT_EQ(check(test::to_msgpack(json(std::vector<int>(70000, 1)))), nullptr);
  for (const std::size_t size : {0u, 1u, 2u, 4u, 8u, 16u, 3u, 300u, 70000u}) {
    EXPECT_EQ(check(test::to_msgpack(json::binary(std::vector<std::uint8_t>(size, 7)))), nullptr) << size;
    EXPECT_EQ(check(test::to_msgpack(json::binary(std::vector<std::uint8_t>(size, 7), 5))), nullptr) << "ext " << size;
  }
}

TEST(MsgpackCheck, RefusesEveryValueCutShort) {
  const std::string whole = test::to_msgpack({{"a", {1, -70000, 2.5, nullptr}},
                                              {"b", std::string(300, 'x')},
                                              {"c", json::binary(std::vector<std::uint8_t>(9), 1)}});
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_NE(check(whole.substr(0, size)), nullptr) << size;
  EXPECT_EQ(check(whole), nullptr);
}

TEST(MsgpackCheck, RefusesWhatIsNoValue) {
  EXPECT_STREQ(check(""), "is empty, where one msgpack value was expected");
  EXPECT_STREQ(check("\x01\x02"), "has bytes after its msgpack value");
  EXPECT_STREQ(check("\xc1"), "holds a byte that msgpack never uses (0xc1)");
}

TEST(MsgpackCheck, RefusesContainersThatClaimTooMuch) {
  const std::string claims[] = {{'\xdd', '\xff', '\xff', '\xff', '\xff', 1},
                                {'\xdf', '\xff', '\xff', '\xff', '\xff', 1},
                                {'\xdc', '\xff', '\xff'},
                                {'\xde', '\x00', '\x01', 1},
                                {'\x82', 1, 2, 3}};
  for (const std::string& bytes : claims) EXPECT_STREQ(check(bytes), "claims more values than it has bytes");
  EXPECT_STREQ(check({'\xdb', '\xff', '\xff', '\xff', '\xff', 'a'}), "is cut short");
  EXPECT_STREQ(check({'\xc9', '\xff', '\xff', '\xff', '\xff', 'a'}), "is cut short");
}

TEST(MsgpackCheck, RefusesDepthBombs) {
  EXPECT_EQ(check(std::string(64, '\x91') + '\x01'), nullptr);
  EXPECT_STREQ(check(std::string(65, '\x91') + '\x01'), "is nested too deeply (more than 64 levels)");
  EXPECT_STREQ(check(std::string(10'000'000, '\x91')), "is nested too deeply (more than 64 levels)");
  std::string maps;
  for (int i = 0; i < 1000; ++i) maps += "\x81\xa1k";
  EXPECT_STREQ(check(maps + '\x01'), "is nested too deeply (more than 64 levels)");
}

TEST(MsgpackCheck, BoundsTheNumberOfValues) {
  const std::string bytes = test::to_msgpack(json(std::vector<int>(100, 1)));
  EXPECT_EQ(check(bytes, 101), nullptr);
  EXPECT_STREQ(check(bytes, 100), "has too many values");
}

TEST(Utf8, TellsWellFormedFromIllFormed) {
  for (const char* good :
       {"", "plain", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(rc::is_utf8(good)) << good;
  }
  for (const char* bad : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf0\x80\x80\x80",
                          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(rc::is_utf8(bad)) << bad;
  }
}

}  // namespace
}  // namespace retire
