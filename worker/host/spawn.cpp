#include "worker/host/spawn.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>

#include "worker/host/wire.hpp"
#include "worker/sandbox/descriptors.hpp"
#include "worker/sandbox/processes.hpp"

namespace retire::host {
namespace {

// Descriptors are moved up here first, so that giving one its number in the child never overwrites another.
constexpr int kFirstFree = 16;

// What a handler may need to find programs, files and its language; nothing that could be a secret.
constexpr std::array kKept = {
    "PATH", "HOME",   "USER",   "LOGNAME",      "SHELL",        "LANG",          "LC_ALL",       "LC_CTYPE",
    "TZ",   "TMPDIR", "PREFIX", "ANDROID_ROOT", "ANDROID_DATA", "SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH"};

Error failed(const std::string& what, int error) { return {ErrorCode::Io, what + ": " + std::strerror(error)}; }

int moved_up(int descriptor) {
  const int moved = fcntl(descriptor, F_DUPFD_CLOEXEC, kFirstFree);
  close(descriptor);
  return moved;
}

std::vector<std::string> clean_environment() {
  std::vector<std::string> out;
  for (const char* name : kKept) {
    if (const char* value = std::getenv(name)) out.push_back(std::string(name) + "=" + value);
  }
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// The supervisors that have not been waited for. Guarded: the agent's loop and the thread that probes plugins both
// start some, and neither may take one of the other's for an orphan, nor a number that is given anew for the old one.
struct Alive {
  std::mutex mutex;
  std::set<pid_t> pids;
};
Alive& alive() {
  static Alive one;
  return one;
}

struct Actions {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  Actions() {
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
  }
  ~Actions() {
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
  }
  Actions(const Actions&) = delete;
  Actions& operator=(const Actions&) = delete;
};

}  // namespace

void Fd::reset() {
  if (descriptor_ >= 0) close(std::exchange(descriptor_, -1));
}

Result<Spawned> spawn_host(const std::string& program, std::vector<std::string> arguments, const Inherited& inherited) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return failed("socketpair", errno);
  Fd ours(pair[0]);
  const Fd theirs(moved_up(pair[1]));
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return failed("pipe", errno);
  Fd output(pipe_ends[0]);
  const Fd printed(moved_up(pipe_ends[1]));
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return failed("pipe", errno);
  Fd report(pipe_ends[0]);
  const Fd reported(moved_up(pipe_ends[1]));
  if (theirs.get() < 0 || printed.get() < 0 || reported.get() < 0) {
    return failed("descriptors for a handler process", errno);
  }
  sandbox::refuse_descriptors(ours.get());
  fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  fcntl(output.get(), F_SETFL, O_NONBLOCK);
  fcntl(report.get(), F_SETFL, O_NONBLOCK);

  arguments.insert(arguments.begin(), program);
  arguments.push_back(std::to_string(getpid()));
  std::vector<std::string> environment = clean_environment();

  Actions actions;
  posix_spawn_file_actions_addopen(&actions.files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions.files, printed.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions.files, printed.get(), STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&actions.files, theirs.get(), kSocketFd);
  posix_spawn_file_actions_adddup2(&actions.files, reported.get(), kReportFd);
  std::array<Fd, 4> copies;
  const std::array given{std::pair{inherited.page, kPageFd}, std::pair{inherited.plugin, kPluginFd},
                         std::pair{inherited.user_lock, kUserLockFd}, std::pair{inherited.group, kGroupFd}};
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto [from, as] = given.at(i);
    if (from < 0) {
      posix_spawn_file_actions_addclose(&actions.files, as);
      continue;
    }
    copies.at(i) = Fd(fcntl(from, F_DUPFD_CLOEXEC, kFirstFree));
    if (copies.at(i).get() < 0) return failed("descriptors for a handler process", errno);
    posix_spawn_file_actions_adddup2(&actions.files, copies.at(i).get(), as);
  }
  posix_spawn_file_actions_addclosefrom_np(&actions.files, kLastFd + 1);
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&actions.attributes, &none);
  posix_spawnattr_setsigdefault(&actions.attributes, &all);
  posix_spawnattr_setflags(&actions.attributes,
                           static_cast<short>(POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
  pid_t pid = -1;
  const std::lock_guard<std::mutex> lock(alive().mutex);
  const int error = posix_spawn(&pid, program.c_str(), &actions.files, &actions.attributes, pointers(arguments).data(),
                                pointers(environment).data());
  if (error != 0) return failed("handler process " + program + " cannot be started", error);
  alive().pids.insert(pid);
  return Spawned{pid, std::move(ours), std::move(output), std::move(report)};
}

void end_host(pid_t pid) { kill(pid, SIGTERM); }

int wait_for_end(pid_t pid) {
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) {
  }
  int status = 0;
  while (!has_ended(pid, status)) {
  }
  return status;
}

bool has_ended(pid_t pid, int& status) {
  const std::lock_guard<std::mutex> lock(alive().mutex);
  const pid_t got = waitpid(pid, &status, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return false;
  alive().pids.erase(pid);
  return true;
}

bool end_orphans() {
  const std::lock_guard<std::mutex> lock(alive().mutex);
  return sandbox::end_other_children(alive().pids);
}

}  // namespace retire::host
