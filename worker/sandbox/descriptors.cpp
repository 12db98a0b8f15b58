#include "worker/sandbox/descriptors.hpp"

#include <sys/socket.h>
#include <unistd.h>

namespace retire::sandbox {
namespace {
#ifdef SO_PASSRIGHTS
constexpr int kPassRights = SO_PASSRIGHTS;
#else
constexpr int kPassRights = 83;  // newer than the headers that this may be built with
#endif
}  // namespace

bool refuse_descriptors(int socket) {
  const int no = 0;
  return setsockopt(socket, SOL_SOCKET, kPassRights, &no, sizeof no) == 0;
}

bool can_refuse_descriptors() {
  const int trial = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (trial < 0) return false;
  const bool can = refuse_descriptors(trial);
  close(trial);
  return can;
}

}  // namespace retire::sandbox
