#include "handlers/support/bounded_output.hpp"

#include <gtest/gtest.h>

#include "handlers/support/utf8.hpp"

namespace retire::handlers {
namespace {

TEST(BoundedOutput, KeepsAllThatFits) {
  BoundedOutput output(10);
  output.add("0123");
  output.add("456789");
  EXPECT_EQ(output.text(), "0123456789");
  EXPECT_FALSE(output.truncated());
  EXPECT_EQ(output.last(3), "789");
}

TEST(BoundedOutput, KeepsHeadAndTailOfMore) {
  for (const std::size_t piece : {1u, 3u, 7u, 26u}) {  // however it arrives
    BoundedOutput output(10);
    const std::string all = "abcdefghijklmnopqrstuvwxyz";
    for (std::size_t at = 0; at < all.size(); at += piece) output.add(all.substr(at, piece));
    EXPECT_EQ(output.text(), "abcde\n... 16 bytes left out ...\nvwxyz") << piece;
    EXPECT_TRUE(output.truncated());
    EXPECT_EQ(output.last(2), "yz");
  }
}

TEST(BoundedOutput, StartsAnew) {
  BoundedOutput output(4);
  output.add("abcdefgh");
  output.clear();
  output.add("xy");
  EXPECT_EQ(output.text(), "xy");
  EXPECT_FALSE(output.truncated());
}

TEST(ToUtf8, ReplacesEachIllFormedPart) {
  EXPECT_EQ(to_utf8("plain \xc3\xa9"), "plain \xc3\xa9");
  EXPECT_EQ(to_utf8("a\xff"
                    "b"),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(to_utf8("cut \xe2\x82"), "cut \xef\xbf\xbd");
  EXPECT_EQ(to_utf8("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd") << "a surrogate";
  EXPECT_EQ(to_utf8("\xf0\x9f\x98x"), "\xef\xbf\xbdx");
}

}  // namespace
}  // namespace retire::handlers
