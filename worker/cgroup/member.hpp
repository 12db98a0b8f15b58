// A handler host's side of its control group.
#pragma once

#include "common/base/result.hpp"

namespace retire::cgroup {

// The calling process, which has one thread, moves into the group that `directory` is open on, and all that it starts
// are born there. Errors: Io.
Status join(int directory);

// For a process that has mounts of its own: the group it is in becomes the top of what it can see. With `show_own` that
// is mounted, read-only, where the machine's groups would be; where the kernel does not allow that, nothing is. Errors:
// Io.
Status hide_others(bool show_own);

}  // namespace retire::cgroup
