#include <gtest/gtest.h>

#include <limits>
#include <retire_cluster/payload.hpp>

#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire {
namespace {

using nlohmann::json;
namespace rc = retire_cluster;

// A decoded payload with what it points into.
struct Decoded {
  explicit Decoded(const json& value) : bytes(test::to_msgpack(value)) {
    object = rc::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, zone);
  }
  std::string bytes;
  msgpack::zone zone;
  msgpack::object object;
};

template <class Call>
std::string error_of(const Call& call) {
  try {
    call();
  } catch (const rc::PayloadError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Fields, ReadsEachType) {
  const Decoded decoded(json({{"n", 1.5}, {"i", -7}, {"t", "text"}, {"b", true}, {"m", {{"k", 2}}}, {"z", nullptr}}));
  const rc::Fields fields(decoded.object, {"n", "i", "t", "b", "m", "z"});
  EXPECT_EQ(fields.number("n"), 1.5);
  EXPECT_EQ(fields.number("i"), -7.0);
  EXPECT_EQ(fields.integer("i"), -7);
  EXPECT_EQ(fields.text("t"), "text");
  EXPECT_TRUE(fields.boolean_or("b", false));
  EXPECT_EQ(fields.map_or_none("m")->integer("k"), 2);
  EXPECT_FALSE(fields.has("z")) << "null counts as left out";
  EXPECT_EQ(fields.text_or("z", "other"), "other");
  EXPECT_EQ(fields.number_or("none", 3), 3.0);
  EXPECT_EQ(fields.integer_or("none", 4), 4);
  EXPECT_FALSE(fields.map_or_none("none").has_value());
}

TEST(Fields, NamesTheFieldThatIsWrong) {
  const Decoded decoded(
      {{"duration", "long"}, {"big", 1e300}, {"u", std::numeric_limits<std::uint64_t>::max()}, {"list", {1}}});
  const rc::Fields fields(decoded.object);
  EXPECT_EQ(error_of([&] { fields.number("duration"); }), "field \"duration\" must be a number, got string");
  EXPECT_EQ(error_of([&] { fields.number("none"); }), "field \"none\" is missing");
  EXPECT_EQ(error_of([&] { fields.number("u", 0, 10); }), "field \"u\" must be at most 10, got 18446744073709551616");
  EXPECT_EQ(error_of([&] { fields.integer("u"); }),
            "field \"u\" must be at most 9223372036854775807, got 18446744073709551615");
  EXPECT_EQ(error_of([&] { fields.integer("big"); }), "field \"big\" must be an integer, got number");
  EXPECT_EQ(error_of([&] { fields.text("list"); }), "field \"list\" must be a string, got list");
  EXPECT_EQ(error_of([&] { fields.boolean_or("list", true); }), "field \"list\" must be a boolean, got list");
  EXPECT_EQ(error_of([&] { fields.map_or_none("list"); }), "field \"list\" must be a map, got list");
}

TEST(Fields, NamesFieldsOfAMapWithinByTheirPath) {
  const Decoded decoded(json({{"env", {{"A", 1}}}}));
  const rc::Fields fields(decoded.object);
  const auto env = fields.map_or_none("env");
  EXPECT_EQ(error_of([&] { env->text("A"); }), "field \"env.A\" must be a string, got integer");
}

TEST(Fields, RefusesWhatIsNoMapOfFields) {
  const Decoded list(json::array({1}));
  EXPECT_EQ(error_of([&] { rc::Fields fields(list.object, {"a"}); }), "payload must be a map, got list");
  const Decoded null(nullptr);
  EXPECT_EQ(error_of([&] { rc::Fields fields(null.object); }), "payload must be a map, got null");
  const Decoded unknown(json({{"metod", 1}}));
  EXPECT_EQ(error_of([&] {
              rc::Fields fields(unknown.object, {"url", "method"});
            }),
            "field \"metod\" is not known; known are url, method");
  EXPECT_EQ(error_of([&] { rc::Fields fields(unknown.object, {}); }), "field \"metod\" is not known");
}

TEST(Fields, RefusesKeysThatAreNotStringsOrComeTwice) {
  msgpack::zone zone;
  const std::string number_key = {'\x81', '\x01', '\x02'};
  const msgpack::object first =
      rc::decode({reinterpret_cast<const std::uint8_t*>(number_key.data()), number_key.size()}, zone);
  EXPECT_EQ(error_of([&] { rc::Fields fields(first); }), "payload: keys must be strings, got integer");
  const std::string twice = {'\x82', '\xa1', 'a', '\x01', '\xa1', 'a', '\x02'};
  const msgpack::object second = rc::decode({reinterpret_cast<const std::uint8_t*>(twice.data()), twice.size()}, zone);
  EXPECT_EQ(error_of([&] { rc::Fields fields(second, {"a"}); }), "field \"a\" is given twice");
}

TEST(Fields, RefusesNumbersThatAreNotFinite) {
  const Decoded decoded(
      {{"nan", std::numeric_limits<double>::quiet_NaN()}, {"inf", std::numeric_limits<double>::infinity()}});
  const rc::Fields fields(decoded.object);
  EXPECT_EQ(error_of([&] { fields.number("nan"); }), "field \"nan\" must be a finite number");
  EXPECT_EQ(error_of([&] { fields.number("inf"); }), "field \"inf\" must be a finite number");
}

TEST(Fields, RefusesTextThatIsNotUtf8) {
  msgpack::zone zone;
  const std::string bytes = {'\x81', '\xa1', 't', '\xa1', '\xff'};
  const msgpack::object object = rc::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, zone);
  const rc::Fields fields(object);
  EXPECT_EQ(error_of([&] { fields.text("t"); }), "field \"t\" must be UTF-8 text");
}

TEST(Decode, RefusesWhatIsNotOneValue) {
  msgpack::zone zone;
  EXPECT_EQ(error_of([&] { rc::decode({}, zone); }), "payload: is empty, where one msgpack value was expected");
}

}  // namespace
}  // namespace retire
