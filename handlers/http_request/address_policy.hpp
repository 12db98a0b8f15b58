// Which addresses a request may be sent to: those that are global, and those that the worker's owner allowed.
//
// It judges the address that a socket is about to be connected to, so it does not matter how it was written, which name
// led to it, or when that name's answer changed.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retire::handlers {

// An IPv4 or IPv6 address; `size` is 4 or 16.
struct Address {
  std::array<std::uint8_t, 16> bytes{};
  std::size_t size = 0;
};

// Nothing for another family than IPv4 and IPv6.
std::optional<Address> to_address(const sockaddr* from);
// Nothing for a text that is not a plain address.
std::optional<Address> parse_address(const std::string& text);
std::string to_text(const Address& address);

struct Cidr {
  Address network;
  unsigned prefix = 0;  // bits
  bool holds(const Address& address) const;
};
// "10.0.0.0/8", "::1/128", or one address. Nothing for anything else.
std::optional<Cidr> parse_cidr(std::string_view text);

// Null for a global address, else what it is: "loopback", "private", "cloud metadata", …
// IPv6 is judged by what is in use: beyond 2000::/3 nothing is global. Addresses that carry an IPv4 address in them
// (mapped, 6to4, NAT64, Teredo) are never global: they would be a way round.
const char* why_not_global(const Address& address);

class AddressPolicy {
 public:
  AddressPolicy() = default;
  explicit AddressPolicy(std::vector<Cidr> allowed) : allowed_(std::move(allowed)) {}

  // Null when a connection is allowed, else why not.
  const char* why_refused(const Address& address) const;

 private:
  std::vector<Cidr> allowed_;
};

}  // namespace retire::handlers
