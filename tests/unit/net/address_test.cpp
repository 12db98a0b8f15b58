#include "common/net/address.hpp"

#include <gtest/gtest.h>

namespace retire {
namespace {

TEST(Address, IsReadAsPeopleWriteIt) {
  struct Case {
    const char* text;
    const char* host;
    std::uint16_t port;
  };
  for (const Case& one :
       {Case{"main", "main", 8080}, Case{"main:1", "main", 1}, Case{"tcp://main:9", "main", 9},
        Case{"192.168.1.100:8080", "192.168.1.100", 8080}, Case{"::1", "::1", 8080}, Case{"[::1]:7", "::1", 7},
        Case{"[fe80::1%eth0]", "fe80::1%eth0", 8080}, Case{"main:0", "main", 0}, Case{"main:65535", "main", 65535}}) {
    const Result<Address> read = Address::parse(one.text);
    ASSERT_TRUE(read.ok()) << one.text;
    EXPECT_EQ(read.value().host, one.host);
    EXPECT_EQ(read.value().port, one.port);
  }
}

TEST(Address, IsRefusedWithItsText) {
  for (const char* text : {"", ":8080", "main:", "main:x", "main:65536", "main:-1", "main:0x50", "a:b:c", "[::1",
                           "[::1]8080", "[main]:1", "[a:b:c]:1", "ma in", "http://main", "main/path", "user@main"}) {
    const Result<Address> read = Address::parse(text);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_EQ(read.error().code, ErrorCode::Invalid);
    EXPECT_NE(read.error().detail.find("\"" + std::string(text) + "\""), std::string::npos);
  }
}

TEST(Address, IsWrittenSoThatItCanBeReadAgain) {
  EXPECT_EQ((Address{"::1", 7}.text()), "[::1]:7");
  EXPECT_EQ((Address{"main", 7}.endpoint()), "tcp://main:7");
  EXPECT_TRUE((Address{"localhost", 1}.is_loopback()));
  EXPECT_FALSE((Address{"192.168.1.1", 1}.is_loopback()));
}

}  // namespace
}  // namespace retire
