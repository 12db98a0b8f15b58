#include "worker/service/cidr.hpp"

#include <arpa/inet.h>

#include <array>
#include <charconv>

namespace retire::worker {

bool is_cidr(const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::string address = text.substr(0, slash);
  std::array<unsigned char, 16> bytes{};
  int bits = 0;
  if (inet_pton(AF_INET, address.c_str(), bytes.data()) == 1) {
    bits = 32;
  } else if (inet_pton(AF_INET6, address.c_str(), bytes.data()) == 1) {
    bits = 128;
  } else {
    return false;
  }
  if (slash == std::string::npos) return true;
  int prefix = -1;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data() + slash + 1, end, prefix);
  return error == std::errc() && at == end && prefix >= 0 && prefix <= bits;
}

}  // namespace retire::worker
