#include "handlers/support/spawn.hpp"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000
#endif

namespace retire::handlers {
namespace {

// Dispositions that a host may have changed and that execve() would pass on or, until then, run our handlers for.
constexpr std::array<int, 11> kSignalsReset = {SIGHUP,  SIGINT,  SIGQUIT, SIGPIPE, SIGALRM, SIGTERM,
                                               SIGUSR1, SIGUSR2, SIGCHLD, SIGTTIN, SIGTTOU};

struct ChildArguments {
  const SpawnRequest* request;
  std::span<const int> to_close;  // when the kernel cannot close them all in one call
  bool has_close_range;
  pid_t parent;
  // Written by the child, read by the parent after it has gone on.
  SpawnStage failed;
  int reason;
};

[[noreturn]] void give_up(ChildArguments& arguments, SpawnStage stage) {
  arguments.failed = stage;
  arguments.reason = errno;
  _exit(127);
}

// Runs in the child, on its own stack but in our memory: only system calls, no allocation, no locks. Sanitizers would
// leave their marks on a stack that is never unwound.
__attribute__((no_sanitize("address", "undefined", "thread"))) int child_main(void* opaque) {
  ChildArguments& arguments = *static_cast<ChildArguments*>(opaque);
  const SpawnRequest& request = *arguments.request;

  setsid();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != arguments.parent) _exit(127);  // the parent died before the line above
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  for (const int signal : kSignalsReset) sigaction(signal, &action, nullptr);

  if (dup2(request.in, 0) < 0 || dup2(request.out, 1) < 0 || dup2(request.err, 2) < 0) {
    give_up(arguments, SpawnStage::Clone);
  }
  if (arguments.has_close_range) {
    syscall(SYS_close_range, 3u, ~0u, 0u);
  } else {
    for (const int fd : arguments.to_close) close(fd);
  }
  if (request.cwd != nullptr && chdir(request.cwd) != 0) give_up(arguments, SpawnStage::Cwd);
  for (const Limit& limit : request.limits) {
    const rlimit value{limit.soft, limit.hard};
    if (setrlimit(static_cast<__rlimit_resource_t>(limit.resource), &value) != 0) {
      give_up(arguments, SpawnStage::Limits);
    }
  }
  if (request.no_new_privs) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (!request.filter.empty()) {
    const sock_fprog program{static_cast<unsigned short>(request.filter.size()),
                             const_cast<sock_filter*>(request.filter.data())};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0 && errno != EINVAL && errno != ENOSYS) {
      give_up(arguments, SpawnStage::Limits);
    }
  }
  execve(request.program, request.argv, request.envp);
  give_up(arguments, SpawnStage::Exec);
}

bool kernel_has_close_range() {
  // A range above every descriptor: closes nothing.
  static const bool has = syscall(SYS_close_range, ~0u, ~0u, 0u) == 0;
  return has;
}

std::vector<int> open_descriptors() {
  std::vector<int> found;
  std::error_code failed;
  std::filesystem::directory_iterator entry("/proc/self/fd", failed);
  for (; !failed && entry != std::filesystem::directory_iterator(); entry.increment(failed)) {
    const int fd = std::atoi(entry->path().filename().c_str());
    if (fd > 2) found.push_back(fd);
  }
  return found;
}

}  // namespace

void Fd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Fd above_stdio(Fd fd) {
  if (fd.get() > 2 || !fd.valid()) return fd;
  return Fd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

Spawner::Spawner() : stack_(std::make_unique<std::byte[]>(kStackBytes)) {}

Spawned Spawner::spawn(const SpawnRequest& request) {
  std::vector<int> to_close;
  if (!kernel_has_close_range()) to_close = open_descriptors();
  ChildArguments arguments{&request, to_close, kernel_has_close_range(), getpid(), SpawnStage::None, 0};

  // No signal may run our handlers in the child while it shares our memory.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  int pidfd = -1;
  std::byte* const stack_top = stack_.get() + kStackBytes;
  const pid_t pid = clone(&child_main, stack_top, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &arguments, &pidfd);
  const int clone_errno = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);

  Spawned spawned;
  spawned.pidfd.reset(pidfd);
  if (pid < 0) {
    spawned.failed = SpawnStage::Clone;
    spawned.reason = clone_errno;
  } else if (arguments.failed != SpawnStage::None) {
    spawned.failed = arguments.failed;
    spawned.reason = arguments.reason;
  } else {
    spawned.pid = pid;
  }
  if (pid > 0 && spawned.pid < 0) {  // it ended before it executed
    while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  return spawned;
}

}  // namespace retire::handlers
