// Becoming an unprivileged user, for good.
#pragma once

#include "common/base/result.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::sandbox {

// The process has one thread. With Policy::user: that user and group and no other group. In any case no capability is
// left, and nothing that is run later can give one back. Errors: Io.
Status drop_privileges(const Policy& policy);

}  // namespace retire::sandbox
