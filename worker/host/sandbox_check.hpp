// Which sandbox this machine gives, found out by a host that locks itself in and tries.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "worker/sandbox/seats.hpp"

namespace retire::host {

struct SandboxCheck {
  sandbox::Level achieved = sandbox::Level::Off;
  std::vector<std::string> works;    // "limits", "seccomp", …
  std::vector<std::string> missing;  // "landlock: not in this kernel …"
  std::string failed;                // why it could not be entered at all; empty: it could
};

// Blocks for some milliseconds. Errors: Io, Configuration; what is missing is no error.
Result<SandboxCheck> check_sandbox(const std::string& program, sandbox::Seats& seats);

}  // namespace retire::host
