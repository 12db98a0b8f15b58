#include "worker/host/leftovers.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "worker/sandbox/processes.hpp"
#include "worker/sandbox/scratch.hpp"

namespace retire::host {
namespace {

// Beyond these a host is replaced when it is idle. Pools of threads and a few files are fine; bombs are not. Of threads
// and memory at most a part of what the host may have, or the next attempt would fail for what this one has left.
constexpr std::uint64_t kThreadsMax = 64;
constexpr int kDescriptorMax = 256;
constexpr std::int64_t kGrowthEveryNs = 100'000'000;

// What RLIMIT_DATA counts: stacks of threads too, touched or not.
std::uint64_t data_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long data = 0;  // after: total, resident, shared, code, library
  const int read = std::fscanf(file, "%*u %*u %*u %*u %*u %lu", &data);
  std::fclose(file);
  return read == 1 ? std::uint64_t{data} * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) : 0;
}

sandbox::Belonging belonging(const sandbox::Policy& policy) {
  if (policy.level == sandbox::Level::Strict) return sandbox::Belonging::Namespace;
  return policy.own_user ? sandbox::Belonging::User : sandbox::Belonging::Descent;
}

}  // namespace

Leftovers::Leftovers(const sandbox::Policy& policy, SharedPage& page) : policy_(policy), page_(page) {
  if (!policy_.scratch.empty()) directory_ = open(policy_.scratch.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

Leftovers::~Leftovers() {
  if (directory_ >= 0) close(directory_);
}

Result<std::string> Leftovers::make_scratch() {
  const std::lock_guard lock(mutex_);
  if (!scratch_.empty()) return scratch_;
  if (policy_.scratch.empty()) return Error{ErrorCode::Io, "this host has no scratch directory"};
  Result<std::string> made = sandbox::make_scratch(policy_.scratch);
  if (made.ok()) scratch_ = made.value();
  return made;
}

void Leftovers::look(bool at_growth, std::int64_t now_ns) {
  unseen_ = false;
  if (sandbox::has_children()) sandbox::end_descendants(belonging(policy_));
  if (directory_ >= 0 && sandbox::has_entries(directory_) && !sandbox::clear_directory(policy_.scratch)) {
    page_.retiring.store(1);  // the supervisor tries again, with more rights
  }
  {
    const std::lock_guard lock(mutex_);
    scratch_.clear();
  }
  if (!at_growth && now_ns - grown_seen_ns_ < kGrowthEveryNs) return;
  grown_seen_ns_ = now_ns;
  if (has_grown()) page_.retiring.store(1);
}

bool Leftovers::has_grown() const {
  struct stat tasks {};
  std::uint64_t threads_max = kThreadsMax;
  if (policy_.limits.processes > 0) threads_max = std::min(threads_max, policy_.limits.processes / 2);
  if (stat("/proc/self/task", &tasks) == 0 && tasks.st_nlink > threads_max + 2) return true;
  const int lowest_free = dup(STDIN_FILENO);
  if (lowest_free < 0 || lowest_free > kDescriptorMax) return true;
  close(lowest_free);
  return policy_.limits.memory_bytes > 0 && data_bytes() > policy_.limits.memory_bytes / 4 * 3;
}

}  // namespace retire::host
