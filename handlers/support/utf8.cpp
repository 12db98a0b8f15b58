#include "handlers/support/utf8.hpp"

#include <algorithm>
#include <retire_cluster/msgpack_check.hpp>

namespace retire::handlers {
namespace {

struct Step {
  std::size_t size;  // bytes to take
  bool well_formed;
};

// What stands at the beginning of `rest`, which is not empty.
Step next_sequence(std::string_view rest) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(rest[i]); };
  const unsigned char lead = at(0);
  if (lead < 0x80) return {1, true};
  std::size_t size = 0;
  unsigned char low = 0x80;  // bounds of the second byte, which exclude overlong forms and surrogates
  unsigned char high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    size = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    size = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    size = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return {1, false};
  }
  for (std::size_t i = 1; i < size; ++i) {
    if (i == rest.size() || at(i) < low || at(i) > high) return {i, false};
    low = 0x80;
    high = 0xbf;
  }
  return {size, true};
}

}  // namespace

std::string to_utf8(std::string_view bytes) {
  if (retire_cluster::is_utf8(bytes)) return std::string(bytes);
  std::string out;
  out.reserve(bytes.size() + bytes.size() / 8);
  while (!bytes.empty()) {
    const Step step = next_sequence(bytes);
    out += step.well_formed ? bytes.substr(0, step.size) : std::string_view("\xef\xbf\xbd");
    bytes.remove_prefix(step.size);
  }
  return out;
}

}  // namespace retire::handlers
