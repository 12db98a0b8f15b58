#include "worker/host/text.hpp"

#include <algorithm>
#include <retire_cluster/msgpack_check.hpp>

namespace retire::host {

std::string clean_text(std::string_view text, std::size_t bytes_max) {
  std::size_t size = std::min(text.size(), bytes_max);
  if (size < text.size()) {
    for (int i = 0; i < 3 && size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80; ++i) --size;
  }
  std::string out(text.substr(0, size));
  if (retire_cluster::is_utf8(out)) return out;
  for (std::size_t i = 0; i < out.size();) {
    // The character that begins here is as long as the shortest piece that is well-formed.
    std::size_t length = 1;
    while (length <= 4 && !retire_cluster::is_utf8(std::string_view(out).substr(i, length))) ++length;
    if (length > 4 || i + length > out.size()) {
      out[i] = '?';
      length = 1;
    }
    i += length;
  }
  return out;
}

}  // namespace retire::host
