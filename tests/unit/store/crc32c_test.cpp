// The checksum that stands in for RocksDB's: the same sums, and it is the one that is called.
#include "broker/store/crc32c.hpp"

#include <gtest/gtest.h>

#include <string>

namespace retire::store {
namespace {

std::uint32_t by_the_bit(std::uint32_t crc, const std::string& bytes) {
  crc = ~crc;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

TEST(Crc32c, GivesTheSumsOfRfc3720) {
  const std::string zeros(32, '\0');
  const std::string ones(32, '\xff');
  EXPECT_EQ(crc32c(0, zeros.data(), zeros.size()), 0x8a9136aau);
  EXPECT_EQ(crc32c(0, ones.data(), ones.size()), 0x62a8ab43u);
  EXPECT_EQ(crc32c(0, "123456789", 9), 0xe3069283u);
  EXPECT_EQ(crc32c(0, "", 0), 0u);
}

TEST(Crc32c, IsThatOfTheDefinitionForEachLengthAndPlaceAndGoesOn) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) bytes.push_back(static_cast<char>(i * 131 + i / 7));
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t size = 0; size + from <= bytes.size(); size += size < 40 ? 1 : 37) {
      const std::string part = bytes.substr(from, size);
      ASSERT_EQ(crc32c(0, bytes.data() + from, size), by_the_bit(0, part));
      const std::size_t half = size / 2;
      ASSERT_EQ(crc32c(crc32c(0, part.data(), half), part.data() + half, size - half), by_the_bit(0, part));
    }
  }
}

TEST(Crc32c, IsWhatRocksDbCalls) { EXPECT_TRUE(crc32c_is_replaced()); }

}  // namespace
}  // namespace retire::store
