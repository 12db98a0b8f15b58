#include "common/net/address.hpp"

#include <arpa/inet.h>

#include <charconv>

namespace retire {
namespace {

Error bad(std::string_view text, std::string_view why) {
  return {ErrorCode::Invalid, "address \"" + std::string(text) + "\" " + std::string(why) +
                                  "; write HOST, HOST:PORT or [IPV6]:PORT, e.g. 192.168.1.100:8080"};
}

bool is_ipv6(const std::string& host) {
  const std::string without_zone = host.substr(0, host.find('%'));
  in6_addr address{};
  return inet_pton(AF_INET6, without_zone.c_str(), &address) == 1;
}

}  // namespace

Result<Address> Address::parse(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with("tcp://")) rest.remove_prefix(6);
  Address out;
  std::string_view port;
  bool has_port = false;
  if (rest.starts_with('[')) {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad(text, "has no closing bracket");
    out.host = rest.substr(1, close - 1);
    if (!is_ipv6(out.host)) return bad(text, "holds no IPv6 address");
    rest.remove_prefix(close + 1);
    if (!rest.empty() && rest.front() != ':') return bad(text, "has something other than :PORT after the bracket");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else if (const std::size_t colon = rest.find(':'); colon != std::string_view::npos && rest.rfind(':') == colon) {
    out.host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
    has_port = true;
  } else {
    out.host = rest;  // a name, or an IPv6 address without brackets and port
  }
  if (out.host.empty()) return bad(text, "names no host");
  if (out.host.find(':') != std::string::npos && !is_ipv6(out.host)) return bad(text, "holds no IPv6 address");
  for (const char c : out.host) {
    if (c <= ' ' || c == '/' || c == '[' || c == ']' || c == '@' || c == '\x7f') return bad(text, "is not a host name");
  }
  if (has_port) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
    if (error != std::errc() || end != port.data() + port.size() || value > 65535) {
      return bad(text, "has a port that is not a number from 0 to 65535");
    }
    out.port = static_cast<std::uint16_t>(value);
  }
  return out;
}

std::string Address::text() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Address::endpoint() const { return "tcp://" + text(); }

bool Address::is_loopback() const { return host == "localhost" || host == "::1" || host.starts_with("127."); }

}  // namespace retire
