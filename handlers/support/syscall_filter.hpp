// A seccomp filter for a program that only computes: it may read files and write to what it has open.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace retire::handlers {

// Refused with EPERM: sockets, new processes and threads, another program, opening a file to write, every change of a
// file system, signals by whatever call, limits and priorities of other processes, ptrace, namespaces, mounts, keys,
// BPF and other doors of the kernel. Calls that came after Linux 5.1 are answered with ENOSYS but for a few that change
// nothing, so a newer kernel brings no way out that nobody has thought of here. `program` is the one path that may
// still be executed, told by where it lies in memory: after that there is nothing at the place. Empty on processors
// whose calls are not known here.
std::vector<sock_filter> computing_only(const char* program);

}  // namespace retire::handlers
