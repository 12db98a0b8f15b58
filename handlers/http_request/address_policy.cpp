#include "handlers/http_request/address_policy.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

namespace retire::handlers {
namespace {

struct Range {
  std::array<std::uint8_t, 16> network;
  unsigned prefix;
  const char* what;
};

// IANA's registries of special-purpose addresses, and what clouds answer metadata on. The first that fits is named.
constexpr Range kNotGlobal4[] = {
    {{0}, 8, "unspecified"},
    {{10}, 8, "private"},
    {{100, 100, 100, 200}, 32, "cloud metadata"},
    {{100, 64}, 10, "carrier-grade NAT"},
    {{127}, 8, "loopback"},
    {{168, 63, 129, 16}, 32, "cloud metadata"},
    {{169, 254, 169, 254}, 32, "cloud metadata"},
    {{169, 254, 170, 2}, 32, "cloud metadata"},
    {{169, 254}, 16, "link-local"},
    {{172, 16}, 12, "private"},
    {{192, 0, 0}, 24, "reserved"},
    {{192, 0, 2}, 24, "documentation"},
    {{192, 88, 99}, 24, "6to4 relay"},
    {{192, 168}, 16, "private"},
    {{198, 18}, 15, "benchmarking"},
    {{198, 51, 100}, 24, "documentation"},
    {{203, 0, 113}, 24, "documentation"},
    {{224}, 4, "multicast"},
    {{255, 255, 255, 255}, 32, "broadcast"},
    {{240}, 4, "reserved"},
};

constexpr Range kNotGlobal6[] = {
    {{}, 128, "unspecified"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, "loopback"},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, "IPv4-mapped"},
    {{}, 96, "IPv4-compatible"},
    {{0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, 96, "NAT64"},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, "local NAT64"},
    {{0x01, 0x00}, 64, "discard-only"},
    {{0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54}, 128, "cloud metadata"},
    {{0xfc}, 7, "unique local"},
    {{0xfe, 0x80}, 10, "link-local"},
    {{0xfe, 0xc0}, 10, "site-local"},
    {{0xff}, 8, "multicast"},
    {{0x20, 0x01, 0x00, 0x00}, 32, "Teredo"},
    {{0x20, 0x01, 0x00}, 23, "reserved for protocols"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "documentation"},
    {{0x20, 0x02}, 16, "6to4"},
    {{0x3f, 0xfe}, 16, "reserved (6bone)"},
    {{0x3f, 0xff}, 20, "documentation"},
};
constexpr Range kGlobal6 = {{0x20}, 3, "global unicast"};

bool same_prefix(std::span<const std::uint8_t> a, std::span<const std::uint8_t> b, unsigned bits) {
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff00u >> rest);
  return (a[whole] & mask) == (b[whole] & mask);
}

const char* first_match(std::span<const Range> ranges, const Address& address) {
  for (const Range& range : ranges) {
    if (same_prefix(range.network, address.bytes, range.prefix)) return range.what;
  }
  return nullptr;
}

}  // namespace

std::optional<Address> to_address(const sockaddr* from) {
  Address address;
  if (from->sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, from, sizeof(in));
    address.size = 4;
    std::memcpy(address.bytes.data(), &in.sin_addr, 4);
    return address;
  }
  if (from->sa_family == AF_INET6) {
    sockaddr_in6 in{};
    std::memcpy(&in, from, sizeof(in));
    address.size = 16;
    std::memcpy(address.bytes.data(), &in.sin6_addr, 16);
    return address;
  }
  return std::nullopt;
}

std::optional<Address> parse_address(const std::string& text) {
  Address address;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) {
    address.size = 4;
    return address;
  }
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) {
    address.size = 16;
    return address;
  }
  return std::nullopt;
}

std::string to_text(const Address& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.size == 4 ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof(text));
  return text;
}

bool Cidr::holds(const Address& address) const {
  return address.size == network.size && same_prefix(network.bytes, address.bytes, prefix);
}

std::optional<Cidr> parse_cidr(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<Address> network = parse_address(std::string(text.substr(0, slash)));
  if (!network) return std::nullopt;
  Cidr cidr{*network, static_cast<unsigned>(network->size) * 8};
  if (slash == text.npos) return cidr;
  const std::string_view digits = text.substr(slash + 1);
  unsigned prefix = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (error != std::errc() || end != digits.data() + digits.size() || prefix > cidr.prefix) return std::nullopt;
  cidr.prefix = prefix;
  return cidr;
}

const char* why_not_global(const Address& address) {
  if (address.size == 4) return first_match(kNotGlobal4, address);
  if (const char* what = first_match(kNotGlobal6, address)) return what;
  return same_prefix(kGlobal6.network, address.bytes, kGlobal6.prefix) ? nullptr : "reserved";
}

const char* AddressPolicy::why_refused(const Address& address) const {
  const auto fits = [&](const Cidr& cidr) { return cidr.holds(address); };
  if (std::any_of(allowed_.begin(), allowed_.end(), fits)) return nullptr;
  return why_not_global(address);
}

}  // namespace retire::handlers
