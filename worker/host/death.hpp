// How a process ended, in words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/cgroup/settings.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::host {

// `status` as waitpid() gave it: "signal 11 (SIGSEGV)", "exit status 3".
std::string describe_exit(int status);

// And what it had used, and the limit that it met, where that shows:
// "signal 25 (SIGXFSZ), at the limit of 4 GiB for a file; peak memory 12 MiB". `group`: of its control group.
std::string describe_death(int status, std::uint64_t peak_bytes, const sandbox::Limits& limits,
                           const cgroup::Use& group = {});
// Whether the kernel killed it for want of memory.
bool is_out_of_memory(int status, const cgroup::Use& group);

// The limits of its control group that it met; empty: none. "its host was refused 12 processes beyond the limit of 64"
std::string describe_met(int status, const cgroup::Use& group);

// "peak memory 12 MiB, 40 MiB of all its processes and files"
std::string describe_use(std::uint64_t peak_bytes, const cgroup::Use& group);

// The last of what a process prints, kept within a bound.
class OutputTail {
 public:
  void add(std::string_view bytes);
  void clear() { kept_.clear(); }
  // Whole lines where that is possible, as UTF-8.
  std::string text() const;

 private:
  std::string kept_;
};

}  // namespace retire::host
