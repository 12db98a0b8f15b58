// HOST[:PORT], as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace retire {

constexpr std::uint16_t kDefaultPort = 8080;

struct Address {
  std::string host;  // a name, an IPv4 address, or an IPv6 address without brackets
  std::uint16_t port = kDefaultPort;

  // Errors: Invalid, naming the text.
  static Result<Address> parse(std::string_view text);

  std::string text() const;      // "host:port", "[::1]:port"
  std::string endpoint() const;  // "tcp://host:port"
  bool is_loopback() const;      // by its spelling: localhost, 127.…, ::1
};

}  // namespace retire
