// The process between the agent and a handler: starts it, waits for it, and leaves nothing of it behind.
//
// It never runs foreign code. Orphans of the handler's descendants come to it, so whatever an attempt starts ends with
// its host: also when the host crashes, when the agent asks for it, and when the agent itself is killed.
//
//   agent ── supervisor ── host ── what the handler starts            Level::Off and Basic
//   agent ── supervisor ── 1 ── host ── what the handler starts       Level::Strict: a process ID namespace from 1 on
//
// SIGTERM: end everything at once. SIGUSR1: pass SIGTERM to everything below. The agent's death counts as SIGTERM.
#pragma once

#include <functional>
#include <string>

#include "worker/sandbox/policy.hpp"

namespace retire::host {

// Does not return in the calling process: it ends once nothing is left, having written a HostReport on `report` (if
// that is not -1). In the host, which has locked itself in, `body` runs; it gets the policy as it is there, and its
// result is the exit status. `parent` is the agent, as text. Precondition: one thread.
[[noreturn]] void supervise(sandbox::Policy policy, int report, const std::string& parent,
                            const std::function<int(const sandbox::Policy&)>& body);

}  // namespace retire::host
