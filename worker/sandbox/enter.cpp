#include "worker/sandbox/enter.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "worker/sandbox/landlock.hpp"
#include "worker/sandbox/limits.hpp"
#include "worker/sandbox/syscall_filter.hpp"
#include "worker/sandbox/user.hpp"

namespace retire::sandbox {
namespace {

bool can_fork() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  if (child > 0) waitpid(child, nullptr, 0);
  return child > 0;
}

bool root_is_read_only() {
  struct statvfs info {};
  return statvfs("/", &info) == 0 && (info.f_flag & ST_RDONLY) != 0;
}

}  // namespace

Status enter(const Policy& policy) {
  if (policy.level == Level::Off) return ok_status();
  if (!policy.scratch.empty()) {
    if (chdir(policy.scratch.c_str()) != 0) {
      return Error{ErrorCode::Io, "scratch directory " + policy.scratch + ": " + std::strerror(errno)};
    }
    for (const char* name : {"HOME", "TMPDIR"}) setenv(name, policy.scratch.c_str(), 1);
  }
  if (policy.user != kNoUser) {
    for (const char* name : {"USER", "LOGNAME"}) unsetenv(name);
  }
  umask(022);
  if (Status status = set_limits(policy.limits); !status.ok()) return status;
  if (Status status = drop_privileges(policy); !status.ok()) return status;
  prctl(PR_SET_DUMPABLE, 1);  // the change of user hid /proc/self from the process itself
  if (Status status = restrict_files(policy); !status.ok()) return status;
  if (!policy.filter) return ok_status();
  return filter_syscalls(policy.subprocess ? Subprocesses::Allowed : Subprocesses::Refused);
}

std::vector<std::string> inspect(const Policy& policy) {
  std::vector<std::string> lines;
  const auto add = [&lines](const std::string& name, const std::string& why_not) {
    lines.push_back(why_not.empty() ? name : name + ": " + why_not);
  };
  const auto no_error = [](bool works) { return works ? std::string() : std::string(std::strerror(errno)); };
  if (policy.level == Level::Off) return lines;

  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  rlimit core{};
  getrlimit(RLIMIT_CORE, &core);
  add("limits", files.rlim_max <= policy.limits.open_files && core.rlim_max == 0 ? "" : "not set");
  add("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? "" : "not set");
  if (policy.user != kNoUser) add("user", getuid() == policy.user && setuid(0) != 0 ? "" : "still root");

  errno = 0;
  const bool filtered = ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0 && errno == EPERM;
  add("seccomp", filtered ? "" : policy.filter ? "ptrace is not refused" : "not in this kernel");

  if (landlock_version() == 0) {
    add("landlock", "not in this kernel, so files are guarded by their owners and modes alone");
  } else {
    const int outside = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    add("landlock", outside < 0 && errno == EACCES ? "" : "the root directory can be listed");
    if (outside >= 0) close(outside);
  }
  if (!policy.scratch.empty()) {
    const std::string probe = policy.scratch + "/.probe";
    const int file = open(probe.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    add("scratch", no_error(file >= 0));
    if (file >= 0) close(file);
    unlink(probe.c_str());
  }
  if (policy.level == Level::Strict) {
    add("process IDs", getpid() < 10 && getppid() == 1 ? "" : "shared");
    add("read-only root", root_is_read_only() ? "" : "writable");
    std::string line;
    std::ifstream routes("/proc/net/route");
    int routes_count = -1;  // its first line is a title
    while (std::getline(routes, line)) ++routes_count;
    if (!policy.network) add("no network", routes_count <= 0 ? "" : "there are routes");
    if (!policy.subprocess) add("no other programs", can_fork() ? "a process can be started" : "");
  }
  return lines;
}

}  // namespace retire::sandbox
