#include "handlers/http_request/json_text.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <retire_cluster/payload.hpp>

#include "tests/unit/plugins/fake_attempt.hpp"

namespace retire::handlers {
namespace {

using nlohmann::json;
namespace rc = retire_cluster;

std::string written(const json& value) {
  const std::string bytes = test::to_msgpack(value);
  msgpack::zone zone;
  return to_json(rc::decode({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, zone), "json");
}

TEST(JsonText, WritesWhatAnotherReaderReads) {
  const json values[] = {nullptr,
                         true,
                         0,
                         -1,
                         std::numeric_limits<std::uint64_t>::max(),
                         std::numeric_limits<std::int64_t>::min(),
                         0.1,
                         1e300,
                         -2.0,
                         "",
                         "quote \" backslash \\ newline \n nul \x01 \xc3\xa9",
                         json::array(),
                         json::object(),
                         {{"a", {1, {{"b", nullptr}}}}, {"c", "d"}}};
  for (const json& value : values) EXPECT_EQ(json::parse(written(value)), value) << value.dump();
  EXPECT_EQ(written(2.0), "2.0");
}

TEST(JsonText, RefusesWhatJsonDoesNotHave) {
  const json values[] = {json::binary({1, 2}),
                         std::numeric_limits<double>::quiet_NaN(),
                         std::numeric_limits<double>::infinity(),
                         {{"deep", {json::binary({1})}}}};
  for (const json& value : values) EXPECT_THROW(written(value), rc::PayloadError);
}

}  // namespace
}  // namespace retire::handlers
