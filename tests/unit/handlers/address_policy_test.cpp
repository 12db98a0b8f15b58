#include "handlers/http_request/address_policy.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace retire::handlers {
namespace {

const char* judge(const std::string& text) {
  const std::optional<Address> address = parse_address(text);
  EXPECT_TRUE(address.has_value()) << text;
  return why_not_global(*address);
}

TEST(AddressPolicy, KnowsGlobalAddresses) {
  for (const char* text : {"1.1.1.1",
                           "8.8.8.8",
                           "9.255.255.255",
                           "11.0.0.0",
                           "93.184.216.34",
                           "100.63.255.255",
                           "100.128.0.0",
                           "126.255.255.255",
                           "128.0.0.0",
                           "169.253.255.255",
                           "169.255.0.0",
                           "172.15.255.255",
                           "172.32.0.0",
                           "192.0.1.0",
                           "192.167.255.255",
                           "192.169.0.0",
                           "198.17.255.255",
                           "198.20.0.0",
                           "203.0.112.255",
                           "223.255.255.255",
                           "2606:4700:4700::1111",
                           "2a00:1450:4001::1",
                           "2001:4860:4860::8888",
                           "2001:200::1",
                           "3ffd::1"}) {
    EXPECT_EQ(judge(text), nullptr) << text;
  }
}

TEST(AddressPolicy, NamesWhatIsNotGlobal) {
  const std::pair<const char*, const char*> cases[] = {
      {"0.0.0.0", "unspecified"},
      {"0.1.2.3", "unspecified"},
      {"10.0.0.1", "private"},
      {"10.255.255.255", "private"},
      {"100.64.0.1", "carrier-grade NAT"},
      {"100.127.255.255", "carrier-grade NAT"},
      {"100.100.100.200", "cloud metadata"},
      {"127.0.0.1", "loopback"},
      {"127.255.255.254", "loopback"},
      {"168.63.129.16", "cloud metadata"},
      {"169.254.0.1", "link-local"},
      {"169.254.169.254", "cloud metadata"},
      {"169.254.170.2", "cloud metadata"},
      {"172.16.0.1", "private"},
      {"172.31.255.255", "private"},
      {"192.0.0.1", "reserved"},
      {"192.0.2.1", "documentation"},
      {"192.88.99.1", "6to4 relay"},
      {"192.168.0.1", "private"},
      {"192.168.255.255", "private"},
      {"198.18.0.1", "benchmarking"},
      {"198.19.255.255", "benchmarking"},
      {"198.51.100.1", "documentation"},
      {"203.0.113.1", "documentation"},
      {"224.0.0.1", "multicast"},
      {"239.255.255.255", "multicast"},
      {"240.0.0.1", "reserved"},
      {"255.255.255.255", "broadcast"},
      {"::", "unspecified"},
      {"::1", "loopback"},
      {"::ffff:127.0.0.1", "IPv4-mapped"},
      {"::ffff:169.254.169.254", "IPv4-mapped"},
      {"::ffff:8.8.8.8", "IPv4-mapped"},
      {"::127.0.0.1", "IPv4-compatible"},
      {"::ffff:0:127.0.0.1", "reserved"},
      {"64:ff9b::7f00:1", "NAT64"},
      {"64:ff9b::a9fe:a9fe", "NAT64"},
      {"64:ff9b:1::1", "local NAT64"},
      {"100::1", "discard-only"},
      {"2001::1", "Teredo"},
      {"2001:10::1", "reserved for protocols"},
      {"2001:1ff::1", "reserved for protocols"},
      {"2001:db8::1", "documentation"},
      {"2002:7f00:1::", "6to4"},
      {"2002:c0a8:101::1", "6to4"},
      {"3ffe::1", "reserved (6bone)"},
      {"3fff::1", "documentation"},
      {"4000::1", "reserved"},
      {"5f00::1", "reserved"},
      {"fc00::1", "unique local"},
      {"fd00:ec2::254", "cloud metadata"},
      {"fd12:3456::1", "unique local"},
      {"fe80::1", "link-local"},
      {"febf::1", "link-local"},
      {"fec0::1", "site-local"},
      {"ff02::1", "multicast"},
      {"ff0e::1", "multicast"},
  };
  for (const auto& [text, what] : cases) EXPECT_STREQ(judge(text), what) << text;
}

TEST(AddressPolicy, AllowsWhatItIsToldTo) {
  const AddressPolicy policy({*parse_cidr("10.1.0.0/16"), *parse_cidr("127.0.0.1"), *parse_cidr("fd00::/8")});
  const auto refused = [&](const char* text) { return policy.why_refused(*parse_address(text)) != nullptr; };
  EXPECT_FALSE(refused("10.1.2.3"));
  EXPECT_FALSE(refused("127.0.0.1"));
  EXPECT_FALSE(refused("fd00::1"));
  EXPECT_FALSE(refused("1.1.1.1"));
  EXPECT_TRUE(refused("10.2.0.1"));
  EXPECT_TRUE(refused("127.0.0.2"));
  EXPECT_TRUE(refused("::1"));
  EXPECT_TRUE(refused("::ffff:127.0.0.1")) << "another spelling needs an entry of its own";
}

TEST(AddressPolicy, ReadsCidrs) {
  for (const char* good : {"10.0.0.0/8", "1.2.3.4", "0.0.0.0/0", "::/0", "::1/128", "fe80::/10", "1.2.3.4/32"}) {
    EXPECT_TRUE(parse_cidr(good).has_value()) << good;
  }
  for (const char* bad : {"", "/8", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8x", "::1/129",
                          "localhost", "10.0.0.0 /8", "256.0.0.1", "1.2.3.4/0x8"}) {
    EXPECT_FALSE(parse_cidr(bad).has_value()) << bad;
  }
}

TEST(AddressPolicy, KnowsOnlyInternetFamilies) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  EXPECT_FALSE(to_address(reinterpret_cast<const sockaddr*>(&local)).has_value());
}

}  // namespace
}  // namespace retire::handlers
