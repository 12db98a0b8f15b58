#include "handlers/support/strays.hpp"

#include <dirent.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace retire::handlers {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{2};
constexpr timespec kPause{0, 1'000'000};

// Numbers of the entries of a directory of /proc.
std::vector<pid_t> numbers_in(const char* directory) {
  std::vector<pid_t> out;
  DIR* open = opendir(directory);
  if (open == nullptr) return out;
  while (const dirent* entry = readdir(open)) {
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') out.push_back(std::atoi(entry->d_name));
  }
  closedir(open);
  return out;
}

pid_t parent_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(in, line)) return 0;
  const std::size_t after_name = line.rfind(')');  // the name may hold anything: "12 (a) b) S 1 …"
  if (after_name == line.npos || line.size() < after_name + 5) return 0;
  return std::atoi(line.c_str() + after_name + 4);
}

std::vector<pid_t> children() {
  std::vector<pid_t> out;
  bool listed = false;
  for (const pid_t thread : numbers_in("/proc/self/task")) {
    std::ifstream in("/proc/self/task/" + std::to_string(thread) + "/children");
    listed = listed || in.good();
    for (pid_t pid = 0; in >> pid;) out.push_back(pid);
  }
  if (listed) return out;
  for (const pid_t pid : numbers_in("/proc")) {  // a kernel built without that list
    if (parent_of(pid) == getpid()) out.push_back(pid);
  }
  return out;
}

}  // namespace

void adopt_orphans() { prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

bool end_children() {
  const Clock::time_point until = Clock::now() + kPatience;
  while (true) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0) {
      if (errno == EINTR) continue;
      return true;  // ECHILD
    }
    if (info.si_pid != 0) continue;
    if (Clock::now() >= until) return false;
    for (const pid_t pid : children()) kill(pid, SIGKILL);
    nanosleep(&kPause, nullptr);
  }
}

}  // namespace retire::handlers
