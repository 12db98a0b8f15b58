// Processes that a program leaves behind: in groups and sessions of their own, or forked twice so that their parent is
// gone.
#pragma once

namespace retire::handlers {

// From now on a descendant whose parent ends becomes a child of this process, not of init, so that it can be found.
// For a process that runs one attempt at a time and has no children of its own.
void adopt_orphans();

// Kills and reaps every child of this process, and their children as they are adopted, until there are none. False if
// some are left after two seconds (a process that hangs in the kernel). Costs one system call when there are none.
bool end_children();

}  // namespace retire::handlers
