// A seccomp filter for a program that only computes: it may read files and write to what it has open.
#pragma once

#include <linux/filter.h>

#include <vector>

namespace retire::handlers {

// Refused with EPERM: sockets, new processes and threads, another program, opening a file to write, every change of a
// file system, signals, ptrace, namespaces, mounts, keys, io_uring, BPF and other doors of the kernel. `program` is the
// one path that may still be executed, told by where it lies in memory: after that there is nothing at the place.
// Empty on processors whose calls are not known here.
std::vector<sock_filter> computing_only(const char* program);

}  // namespace retire::handlers
