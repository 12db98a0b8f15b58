// Ending everything that a handler has started, wherever it has gone: own groups, own sessions, daemons.
//
// A process of which an ancestor is gone is given to the nearest ancestor that asks for it (adopt_orphans()), so the
// descendants of such a process are all it ever started, and it has no children when nothing of them is left.
#pragma once

#include <sys/types.h>

#include <set>
#include <vector>

namespace retire::sandbox {

// What decides who belongs to a host.
enum class Belonging : unsigned char {
  Descent,    // descendants of the caller
  User,       // whoever runs as a user that nobody else is
  Namespace,  // whoever is in the caller's process ID namespace
};

// From now on orphans among the descendants become children of the caller. Fails with errno only on very old kernels.
bool adopt_orphans();

// All descendants that are alive, not the caller itself.
std::vector<pid_t> descendants();

// Whether the calling process has a child, dead or alive.
bool has_children();

// Kills everything that the calling process has started, and waits until nothing of it is left. For a host itself: with
// Belonging::User or Namespace the caller must run as that user, or in that namespace.
void end_descendants(Belonging how);

// The same for the process above a host, which stays what it is: `user` is whose processes they are.
void end_user(uid_t user, gid_t group);

// Kills the children that are not among `known`, and theirs; waits for nobody. True when there is none.
bool end_other_children(const std::set<pid_t>& known);

// Sends `signal` to all of them.
void signal_descendants(int signal);
void signal_user(uid_t user, gid_t group, int signal);

}  // namespace retire::sandbox
