// Which files a process may touch, by Landlock.
#pragma once

#include "common/base/result.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::sandbox {

// The version of Landlock that the kernel has; 0: none.
int landlock_version();

// For the calling thread and all it starts, for good; needs no_new_privs: system paths may be read and run, the scratch
// directory and Policy::writable also written to, and nothing else. From version 6 no process outside can be sent a
// signal, nor an abstract socket of it be reached. Does nothing where the kernel has no Landlock. Errors: Io.
Status restrict_files(const Policy& policy);

}  // namespace retire::sandbox
