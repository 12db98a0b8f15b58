// Level::Strict: a view of the machine in which a handler finds little and can change nothing.
#pragma once

#include <string>

#include "common/base/result.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::sandbox {

// Takes the calling process, which has one thread, into new namespaces: mounts, process IDs (for its next child, which
// is number 1 there), IPC, host name, and network unless Policy::network. Not as root, in a user
// namespace too. Errors: Io, naming what the kernel did not allow.
Status leave_namespaces(const Policy& policy);

// In that child: everything read-only; /tmp, /var/tmp and /dev/shm are the scratch directory; homes, /run, /mnt,
// /media, /srv and the control groups are empty; /dev has six devices; /proc shows this namespace. Policy::writable
// stay where they are. Sets `policy.scratch` to where it is now. In a chroot too, whose root is no mount, if /proc is
// mounted there. Errors: Io.
Status arrange_mounts(Policy& policy);

// The place of a scratch directory that `path` is or lies below; empty: none. There, nothing else can be kept: what an
// attempt leaves in it is removed.
std::string scratch_place_of(const std::string& path);

}  // namespace retire::sandbox
