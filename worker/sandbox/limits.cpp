#include "worker/sandbox/limits.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace retire::sandbox {
namespace {

Status set(int resource, const char* name, rlim_t soft, rlim_t hard) {
  rlimit now{};
  const auto which = static_cast<__rlimit_resource_t>(resource);
  if (getrlimit(which, &now) != 0) return Error{ErrorCode::Io, std::string(name) + ": " + std::strerror(errno)};
  now.rlim_max = std::min(now.rlim_max, hard);  // RLIM_INFINITY is the largest number
  now.rlim_cur = std::min(now.rlim_max, soft);
  if (setrlimit(which, &now) != 0) {
    return Error{ErrorCode::Io,
                 std::string(name) + " cannot be set to " + std::to_string(now.rlim_cur) + ": " + std::strerror(errno)};
  }
  return ok_status();
}

}  // namespace

// Memory by RLIMIT_DATA: it counts what a process may write to and keeps for itself, so it is near to what can become
// resident. RLIMIT_AS counts every reservation too, and kills Go and Java, which reserve terabytes and touch little;
// RLIMIT_RSS does nothing on Linux. What RLIMIT_DATA does not see is shared memory; docs/sandbox.md says so.
Status set_limits(const Limits& limits) {
  struct Rule {
    int resource;
    const char* name;
    std::uint64_t value;
    std::uint64_t beyond;  // from the soft to the hard one
  };
  const Rule rules[] = {
      {RLIMIT_DATA, "RLIMIT_DATA", limits.memory_bytes, 0},
      {RLIMIT_FSIZE, "RLIMIT_FSIZE", limits.file_bytes, 0},
      {RLIMIT_NOFILE, "RLIMIT_NOFILE", limits.open_files, 0},
      {RLIMIT_NPROC, "RLIMIT_NPROC", limits.processes, 0},
      // The soft one sends SIGXCPU, which says what it was; equal ones would be a bare SIGKILL.
      {RLIMIT_CPU, "RLIMIT_CPU", limits.cpu_seconds, 5},
  };
  for (const Rule& rule : rules) {
    if (rule.value == 0) continue;
    if (Status status = set(rule.resource, rule.name, rule.value, rule.value + rule.beyond); !status.ok())
      return status;
  }
  // POSIX message queues outlive who made them, and can be found only by their names.
  if (Status status = set(RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE", 0, 0); !status.ok()) return status;
  return set(RLIMIT_CORE, "RLIMIT_CORE", 0, 0);
}

}  // namespace retire::sandbox
