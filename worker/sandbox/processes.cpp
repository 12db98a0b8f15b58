#include "worker/sandbox/processes.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>

namespace retire::sandbox {
namespace {

constexpr useconds_t kPauseUs = 1000;

// Of /proc/PID/stat: "PID (name) state parent …", and the name may hold anything. 0 when it is gone or dead.
pid_t living_parent(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[512];
  const ssize_t got = read(file, text, sizeof text - 1);
  close(file);
  if (got <= 0) return 0;
  text[got] = '\0';
  const char* after = std::strrchr(text, ')');
  if (after == nullptr || std::strlen(after) < 5) return 0;
  const char state = after[2];
  return state == 'Z' || state == 'X' ? 0 : static_cast<pid_t>(std::atoi(after + 4));
}

using Children = std::map<pid_t, std::vector<pid_t>>;  // by parent

Children living() {
  Children children;
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return children;
  while (const dirent* entry = readdir(directory)) {
    const pid_t pid = static_cast<pid_t>(std::atoi(entry->d_name));
    if (pid <= 0) continue;
    if (const pid_t parent = living_parent(pid)) children[parent].push_back(pid);
  }
  closedir(directory);
  return children;
}

// All that descend from `roots`, without these.
std::vector<pid_t> below(std::vector<pid_t> roots, const Children& children) {
  const auto count = static_cast<std::ptrdiff_t>(roots.size());
  for (std::size_t i = 0; i < roots.size(); ++i) {
    if (const auto of = children.find(roots[i]); of != children.end()) {
      roots.insert(roots.end(), of->second.begin(), of->second.end());
    }
  }
  roots.erase(roots.begin(), roots.begin() + count);
  return roots;
}

// True once there is no child at all; else false, when those that are there are alive.
bool reap_all() {
  for (;;) {
    const pid_t got = waitpid(-1, nullptr, WNOHANG | __WALL);
    if (got > 0 || (got < 0 && errno == EINTR)) continue;
    return got < 0;
  }
}

// As another user, in a process of its own, since kill(-1) spares nobody but the caller.
void kill_as(uid_t user, gid_t group, int signal) {
  const pid_t helper = fork();
  if (helper == 0) {
    if (setresgid(group, group, group) == 0 && setresuid(user, user, user) == 0 && getuid() == user) kill(-1, signal);
    _exit(0);
  }
  while (helper > 0 && waitpid(helper, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

bool adopt_orphans() { return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0; }

std::vector<pid_t> descendants() { return below({getpid()}, living()); }

bool has_children() {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

void end_descendants(Belonging how) {
  if (how != Belonging::Descent) {
    do {
      kill(-1, SIGKILL);  // in one step, so nobody can get away by forking
    } while (!reap_all() && usleep(kPauseUs) == 0);
    return;
  }
  // They may fork while we look. Stopped, they cannot, and still count against the limit of processes: so the rounds
  // come to an end, and only then are they killed.
  while (!reap_all()) {
    std::set<pid_t> stopped;
    for (bool more = true; more;) {
      more = false;
      for (const pid_t pid : descendants()) {
        if (stopped.insert(pid).second) {
          kill(pid, SIGSTOP);
          more = true;
        }
      }
    }
    for (const pid_t pid : stopped) kill(pid, SIGKILL);
    if (stopped.empty()) usleep(kPauseUs);  // dying
    reap_all();
  }
}

void end_user(uid_t user, gid_t group) {
  do {
    kill_as(user, group, SIGKILL);
  } while (!reap_all() && usleep(kPauseUs) == 0);
}

bool end_other_children(const std::set<pid_t>& known) {
  const Children children = living();
  std::vector<pid_t> others;
  if (const auto mine = children.find(getpid()); mine != children.end()) {
    for (const pid_t pid : mine->second) {
      if (!known.contains(pid)) others.push_back(pid);
    }
  }
  for (const pid_t pid : below(others, children)) kill(pid, SIGKILL);
  for (const pid_t pid : others) {
    kill(pid, SIGKILL);
    waitpid(pid, nullptr, WNOHANG | __WALL);
  }
  // The dead among them show no parent in living(): they are seen by waiting, without taking what is somebody else's.
  for (siginfo_t info{}; waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid != 0;
       info = {}) {
    if (known.contains(info.si_pid)) break;
    waitpid(info.si_pid, nullptr, WNOHANG | __WALL);
  }
  return others.empty();
}

void signal_descendants(int signal) {
  for (const pid_t pid : descendants()) kill(pid, signal);
}

void signal_user(uid_t user, gid_t group, int signal) { kill_as(user, group, signal); }

}  // namespace retire::sandbox
