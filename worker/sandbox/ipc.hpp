// System V shared memory, semaphores and message queues: they outlive whoever made them, until somebody removes them.
#pragma once

#include <sys/types.h>

namespace retire::sandbox {

// Removes all that `user` has made in this IPC namespace. By root, or `user` itself.
void remove_ipc(uid_t user);

}  // namespace retire::sandbox
