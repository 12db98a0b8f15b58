#include "worker/host/hint.hpp"

#include <gmock/gmock.h>

namespace retire::host {
namespace {

using testing::HasSubstr;

sandbox::Policy with(sandbox::Level level, bool network, bool subprocess) {
  sandbox::Policy policy;
  policy.level = level;
  policy.network = network;
  policy.subprocess = subprocess;
  return policy;
}

TEST(Hint, NamesWhatTheManifestDoesNotAskFor) {
  const sandbox::Policy nothing = with(sandbox::Level::Strict, false, false);
  EXPECT_THAT(with_hint("convert: Operation not permitted", nothing), HasSubstr("needs.subprocess"));
  EXPECT_THAT(with_hint("connect: Network is unreachable", nothing), HasSubstr("needs.network"));
  EXPECT_EQ(with_hint("no such page", nothing), "no such page");
}

TEST(Hint, IsSilentWhereThatCannotBeTheReason) {
  const std::string error = "Operation not permitted, Network is unreachable";
  EXPECT_EQ(with_hint(error, with(sandbox::Level::Strict, true, true)), error);
  EXPECT_EQ(with_hint(error, with(sandbox::Level::Basic, false, false)), error);
  EXPECT_EQ(with_hint(error, {}), error);
}

}  // namespace
}  // namespace retire::host
