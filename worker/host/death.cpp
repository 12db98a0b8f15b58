#include "worker/host/death.hpp"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "worker/host/text.hpp"

namespace retire::host {
namespace {
constexpr std::size_t kTailBytes = 4096;

std::string size_text(std::uint64_t bytes) {
  const std::uint64_t mib = (bytes + (std::uint64_t{1} << 19)) >> 20;
  return mib >= 1024 && mib % 1024 == 0 ? std::to_string(mib / 1024) + " GiB" : std::to_string(mib) + " MiB";
}

}  // namespace

std::string describe_exit(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    const char* name = sigabbrev_np(signal);
    return "signal " + std::to_string(signal) + (name == nullptr ? "" : " (SIG" + std::string(name) + ")");
  }
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

bool is_out_of_memory(int status, const cgroup::Use& group) {
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && group.oom_kills > 0;
}

std::string describe_met(int status, const cgroup::Use& group) {
  if (is_out_of_memory(status, group)) {
    return group.limit_kills > 0 ? "the memory limit of " + size_text(group.limits.memory_bytes) +
                                       " of all its processes together was hit"
                                 : "the machine, or a control group above the worker's, is out of memory";
  }
  if (group.processes_refused == 0) return {};
  return "its host was refused " + std::to_string(group.processes_refused) + " processes beyond the limit of " +
         std::to_string(group.limits.processes);
}

std::string describe_death(int status, std::uint64_t peak_bytes, const sandbox::Limits& limits,
                           const cgroup::Use& group) {
  const std::string met = describe_met(status, group);
  const std::string use = "; " + describe_use(peak_bytes, group);
  if (is_out_of_memory(status, group)) return "killed by the kernel: " + met + use;
  std::string out = describe_exit(status);
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  if (signal == SIGXFSZ) {
    out += ", at the limit of " + size_text(limits.file_bytes) + " for a file";
  } else if (signal == SIGXCPU) {
    out += ", at the limit of " + std::to_string(limits.cpu_seconds) + " s of processor time";
  } else if (limits.memory_bytes > 0 && peak_bytes >= limits.memory_bytes / 10 * 9) {
    out += ", at the limit of " + size_text(limits.memory_bytes) + " of memory";
  } else if (signal == SIGKILL) {
    out += ", which may have been the kernel, out of memory";
  }
  return out + use + (met.empty() ? "" : "; " + met);
}

std::string describe_use(std::uint64_t peak_bytes, const cgroup::Use& group) {
  std::string out = "peak memory " + size_text(peak_bytes);
  if (group.peak_bytes > 0) out += ", " + size_text(group.peak_bytes) + " of all its processes and files";
  return out;
}

void OutputTail::add(std::string_view bytes) {
  if (bytes.size() > kTailBytes) bytes.remove_prefix(bytes.size() - kTailBytes);
  kept_ += bytes;
  // Cut only now and then: each byte is moved once on average.
  if (kept_.size() > 4 * kTailBytes) kept_.erase(0, kept_.size() - kTailBytes);
}

std::string OutputTail::text() const {
  std::string_view tail = kept_;
  if (tail.size() > kTailBytes) {
    tail.remove_prefix(tail.size() - kTailBytes);
    const std::size_t line = tail.find('\n');
    if (line != std::string_view::npos && line + 1 < tail.size()) tail.remove_prefix(line + 1);
  }
  while (tail.ends_with('\n')) tail.remove_suffix(1);
  return clean_text(tail, kTailBytes);
}

}  // namespace retire::host
