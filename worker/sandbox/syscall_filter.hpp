// The filter of system calls (seccomp): a deny-list of what no handler needs and escapes are made of.
#pragma once

#include "common/base/result.hpp"

namespace retire::sandbox {

enum class Subprocesses : bool { Refused, Allowed };

// For the calling thread and all it starts, for good; needs no_new_privs. What is refused fails with EPERM, but clone3
// with ENOSYS, since its flags cannot be looked into: libraries fall back to clone. Subprocesses::Refused: it can start
// neither a program nor a process; threads it can. Errors: Io.
Status filter_syscalls(Subprocesses subprocesses);

}  // namespace retire::sandbox
