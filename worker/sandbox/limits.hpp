// Resource limits of the process that calls, and of all it starts.
#pragma once

#include "common/base/result.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::sandbox {

// Sets them for good (soft and hard alike); never raises a hard limit. Core dumps are switched off. Errors: Io, naming
// the limit.
Status set_limits(const Limits& limits);

}  // namespace retire::sandbox
