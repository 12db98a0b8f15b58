#include "worker/host/supervisor.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include "worker/cgroup/files.hpp"
#include "worker/cgroup/member.hpp"
#include "worker/host/wire.hpp"
#include "worker/sandbox/enter.hpp"
#include "worker/sandbox/ipc.hpp"
#include "worker/sandbox/namespaces.hpp"
#include "worker/sandbox/processes.hpp"
#include "worker/sandbox/scratch.hpp"

namespace retire::host {
namespace {

constexpr int kExitAlone = 1;     // the agent went before we were tied to it
constexpr int kExitSandbox = 71;  // EX_OSERR: the sandbox could not be set up

void say(const Error& error) { std::fprintf(stderr, "sandbox: %s\n", error.detail.c_str()); }

sigset_t heard() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGUSR1, SIGCHLD}) sigaddset(&set, signal);
  return set;
}

bool tie_to(int parent, int signal) {
  prctl(PR_SET_PDEATHSIG, signal);
  return getppid() == parent;
}

// Nothing of the host's is kept open here, so that its end shows as the end of its socket and its output.
void let_go() {
  for (const int descriptor : {kSocketFd, kPageFd, kPluginFd}) close(descriptor);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, descriptor);
  if (null > STDERR_FILENO) close(null);
}

class Supervisor {
 public:
  Supervisor(const sandbox::Policy& policy, int report) : policy_(policy), report_(report) {}

  void watch(pid_t host) {
    host_ = host;
    let_go();
    const sigset_t wanted = heard();
    while (!ended_) {
      siginfo_t info{};
      const int signal = sigwaitinfo(&wanted, &info);
      if (signal == SIGTERM) end_all();
      if (signal == SIGUSR1) pass_on(SIGTERM);
      if (signal == SIGCHLD) reap();
    }
    end_all();
    HostReport report{};
    report.status = status_;
    report.peak_bytes = peak_kib_ * 1024;
    if (report_ >= 0 && write(report_, &report, sizeof report) < 0) return;  // then nobody wants to know
  }

 private:
  void reap() {
    for (;;) {
      int status = 0;
      rusage usage{};
      const pid_t got = wait4(-1, &status, WNOHANG | __WALL, &usage);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return;
      if (got == host_) note(status, usage);
    }
  }
  void note(int status, const rusage& usage) {
    ended_ = true;
    status_ = status;
    peak_kib_ = static_cast<std::uint64_t>(usage.ru_maxrss);
  }
  // The host goes first and is waited for by itself, as only its end is told of.
  void end_all() {
    if (policy_.in_group) cgroup::kill_all(kGroupFd);  // in one step, however many they are
    if (!ended_) {
      kill(host_, SIGKILL);
      int status = 0;
      rusage usage{};
      while (wait4(host_, &status, 0, &usage) < 0 && errno == EINTR) {
      }
      note(status, usage);
    }
    if (policy_.level == sandbox::Level::Strict) {
      sandbox::end_descendants(sandbox::Belonging::Namespace);
    } else if (policy_.own_user) {
      sandbox::end_user(policy_.user, policy_.group);
      sandbox::remove_ipc(policy_.user);
    } else {
      sandbox::end_descendants(sandbox::Belonging::Descent);
    }
  }
  void pass_on(int signal) const {
    if (policy_.level == sandbox::Level::Strict) {
      kill(-1, signal);
    } else if (policy_.own_user) {
      sandbox::signal_user(policy_.user, policy_.group, signal);
    } else {
      sandbox::signal_descendants(signal);
    }
  }

  const sandbox::Policy& policy_;
  int report_;
  pid_t host_ = -1;
  bool ended_ = false;
  int status_ = 0;
  std::uint64_t peak_kib_ = 0;
};

// The supervisor stays outside, to see how what is inside ends.
Status find_group(const sandbox::Policy& policy) {
  if (policy.in_group) {
    const Status joined = cgroup::join(kGroupFd);
    close(kGroupFd);
    if (!joined.ok()) return joined;
  }
  return policy.level == sandbox::Level::Strict ? cgroup::hide_others(policy.in_group) : ok_status();
}

[[noreturn]] void be_host(const sandbox::Policy& policy, pid_t parent, const sigset_t& signals,
                          const std::function<int(const sandbox::Policy&)>& body) {
  setsid();
  sandbox::adopt_orphans();
  prctl(PR_SET_DUMPABLE, 1);
  close(kReportFd);
  close(kUserLockFd);
  if (const Status joined = find_group(policy); !joined.ok()) {
    say(joined.error());
    std::_Exit(kExitSandbox);
  }
  if (const Status entered = sandbox::enter(policy); !entered.ok()) {
    say(entered.error());
    std::_Exit(kExitSandbox);
  }
  // Now: a change of user undoes it.
  if (!tie_to(parent, SIGKILL)) std::_Exit(kExitAlone);
  signal(SIGPIPE, SIG_DFL);
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  const int status = body(policy);
  std::fflush(nullptr);
  std::_Exit(status);  // no destructors of plugins: nobody waits for anything any more
}

// Forks the host and sees it to its end.
void start_and_watch(const sandbox::Policy& policy, int report, const sigset_t& signals,
                     const std::function<int(const sandbox::Policy&)>& body) {
  const pid_t self = getpid();
  const pid_t host = fork();
  if (host == 0) be_host(policy, self, signals, body);
  if (host < 0) {
    say({ErrorCode::Io, std::string("fork: ") + std::strerror(errno)});
    std::_Exit(kExitSandbox);
  }
  Supervisor(policy, report).watch(host);
}

// Outside of the namespaces: hands signals on to process 1 in them, with which they end.
// Returns its exit status.
int watch_namespace(pid_t first) {
  let_go();
  const sigset_t wanted = heard();
  for (;;) {
    siginfo_t info{};
    int status = 0;
    const int signal = sigwaitinfo(&wanted, &info);
    if (signal == SIGTERM || signal == SIGUSR1) kill(first, signal);
    if (signal == SIGCHLD && waitpid(first, &status, WNOHANG) != 0) return WEXITSTATUS(status);
  }
}

// Also while it is on its way: we are told of its death when the thread that started us has ended, and it is our parent
// until its last one has.
bool is_gone(const std::string& agent) {
  if (std::to_string(getppid()) != agent) return true;
  constexpr unsigned kExiting = 0x4;  // PF_EXITING, of include/linux/sched.h
  std::ifstream file("/proc/" + agent + "/stat");
  std::string text;
  std::getline(file, text);
  // "PID (name) state parent group session terminal foreground flags …", and the name may hold anything.
  std::istringstream fields(text.substr(std::min(text.size(), text.rfind(')') + 1)));
  std::string skipped;
  unsigned flags = 0;
  for (int i = 0; i < 6; ++i) fields >> skipped;
  return fields >> flags && (flags & kExiting) != 0;  // not to be read in a chroot, whose root lies on /proc: it lives
}

void remove_scratch(const std::string& scratch, const std::string& agent) {
  if (scratch.empty()) return;
  sandbox::remove_directory(scratch);
  // Nobody else will: the last of the hosts takes the directory above along.
  if (is_gone(agent)) rmdir(scratch.substr(0, scratch.rfind('/')).c_str());
}

[[noreturn]] void be_first(sandbox::Policy policy, int report, const sigset_t& signals,
                           const std::function<int(const sandbox::Policy&)>& body) {
  // Its parent is outside and shows as 0.
  if (!tie_to(0, SIGKILL)) std::_Exit(kExitAlone);
  if (const Status arranged = sandbox::arrange_mounts(policy); !arranged.ok()) {
    say(arranged.error());
    std::_Exit(kExitSandbox);
  }
  start_and_watch(policy, report, signals, body);
  std::_Exit(0);
}

}  // namespace

void supervise(sandbox::Policy policy, int report, const std::string& parent,
               const std::function<int(const sandbox::Policy&)>& body) {
  sigset_t before;
  const sigset_t wanted = heard();
  sigprocmask(SIG_BLOCK, &wanted, &before);
  signal(SIGPIPE, SIG_IGN);  // the agent that is told of the end may be gone, and the cleaning comes after that
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (std::to_string(getppid()) != parent) {
    remove_scratch(policy.scratch, parent);
    std::_Exit(kExitAlone);
  }
  sandbox::adopt_orphans();
  if (policy.own_user) {  // of a supervisor that was killed
    sandbox::end_user(policy.user, policy.group);
    sandbox::remove_ipc(policy.user);
  }
  const std::string scratch = policy.scratch;
  int status = 0;
  if (policy.level == sandbox::Level::Strict) {
    if (const Status left = sandbox::leave_namespaces(policy); !left.ok()) {
      say(left.error());
      std::_Exit(kExitSandbox);
    }
    prctl(PR_SET_DUMPABLE, 0);  // nobody of the same user writes into this process
    const pid_t first = fork();
    if (first == 0) be_first(policy, report, before, body);
    if (first < 0) {
      say({ErrorCode::Io, std::string("fork: ") + std::strerror(errno)});
      std::_Exit(kExitSandbox);
    }
    status = watch_namespace(first);
  } else {
    prctl(PR_SET_DUMPABLE, 0);
    start_and_watch(policy, report, before, body);
  }
  remove_scratch(scratch, parent);
  std::_Exit(status);
}

}  // namespace retire::host
