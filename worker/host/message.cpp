#include "worker/host/message.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace retire::host {
namespace {

bool read_exactly(int from, char* to, std::size_t size) {
  while (size > 0) {
    const ssize_t got = read(from, to, size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

bool read_message(int from, std::uint32_t bytes_max, std::string& out) {
  std::uint32_t size = 0;
  char head[sizeof size];
  if (!read_exactly(from, head, sizeof head)) return false;
  std::memcpy(&size, head, sizeof size);
  if (size > bytes_max) return false;
  out.resize(size);
  return read_exactly(from, out.data(), size);
}

bool write_all(int to, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t wrote = write(to, bytes.data() + done, bytes.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    done += static_cast<std::size_t>(wrote);
  }
  return true;
}

}  // namespace retire::host
