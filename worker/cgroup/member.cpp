#include "worker/cgroup/member.hpp"

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>

#include "worker/cgroup/files.hpp"

namespace retire::cgroup {

Status join(int directory) {
  const Status wrote = write_to(directory, "cgroup.procs", "0");
  if (!wrote.ok()) return Error{wrote.error().code, "control group: " + wrote.error().detail};
  return wrote;
}

Status hide_others(bool show_own) {
  if (unshare(CLONE_NEWCGROUP) != 0) {
    return Error{ErrorCode::Io, std::string("namespaces: control groups: ") + std::strerror(errno)};
  }
  // Programs that fit themselves to their memory (Java, Go) look here.
  if (show_own) mount("none", "/sys/fs/cgroup", "cgroup2", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr);
  return ok_status();
}

}  // namespace retire::cgroup
