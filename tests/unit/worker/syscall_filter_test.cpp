#include "worker/sandbox/syscall_filter.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <thread>

namespace retire::sandbox {
namespace {

// What came of `attempt`, errno, in a process that has such a filter; -1: there is no filter to be had.
int errno_behind(Subprocesses subprocesses, const std::function<int()>& attempt) {
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    _exit(filter_syscalls(subprocesses).ok() ? attempt() : 255);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
  return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

// Of a call that makes a process.
int started(long made) {
  if (made == 0) _exit(0);
  if (made < 0) return errno;
  waitpid(static_cast<pid_t>(made), nullptr, __WALL);
  return 0;
}

int fork_once() { return started(fork()); }
int raw_fork() {
#ifdef SYS_fork
  return started(syscall(SYS_fork));
#else
  return started(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
#endif
}
int raw_vfork() {
  // Without CLONE_VM, which would share the stack with the child.
  return started(syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0));
}
int other_signal() { return started(syscall(SYS_clone, 0, 0, 0, 0, 0)); }
int clone_three() { return syscall(SYS_clone3, nullptr, 0) == 0 ? 0 : errno; }
int spawn_program() {
  char name[] = "true";
  char* const arguments[] = {name, nullptr};
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, name, nullptr, nullptr, arguments, environ);
  if (error == 0) waitpid(pid, nullptr, 0);
  return error;
}
// Of a file that is not there: what the kernel says when it looks for it, or before.
int execute() {
  execl("/nonexistent", "x", nullptr);
  return errno;
}
int execute_at() { return syscall(SYS_execveat, AT_FDCWD, "/nonexistent", nullptr, nullptr, 0) == 0 ? 0 : errno; }
int start_threads() {
  int ran = 0;
  for (int i = 0; i < 3; ++i) std::thread([&ran] { ++ran; }).join();
  return ran == 3 ? 0 : EIO;
}

struct Case {
  const char* name;
  int (*attempt)();
  int allowed;
  int refused;
};

class SyscallFilter : public testing::TestWithParam<Case> {};

TEST_P(SyscallFilter, OfStartingAProcess) {
  const Case& one = GetParam();
  const int refused = errno_behind(Subprocesses::Refused, one.attempt);
  if (refused < 0) GTEST_SKIP() << "skipped: this kernel has no seccomp filters";
  EXPECT_EQ(refused, one.refused);
  EXPECT_EQ(errno_behind(Subprocesses::Allowed, one.attempt), one.allowed);
}

INSTANTIATE_TEST_SUITE_P(Ways, SyscallFilter,
                         testing::Values(Case{"Fork", fork_once, 0, EPERM}, Case{"RawFork", raw_fork, 0, EPERM},
                                         Case{"Vfork", raw_vfork, 0, EPERM},
                                         Case{"CloneWithoutSignal", other_signal, 0, EPERM},
                                         Case{"Clone3", clone_three, ENOSYS, ENOSYS},
                                         Case{"Spawn", spawn_program, 0, EPERM}, Case{"Exec", execute, ENOENT, EPERM},
                                         Case{"ExecAt", execute_at, ENOENT, EPERM},
                                         Case{"Threads", start_threads, 0, 0}),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace retire::sandbox
