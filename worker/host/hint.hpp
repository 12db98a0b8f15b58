// What a handler's error says only to those who know this sandbox.
#pragma once

#include <string>
#include <string_view>

#include "worker/sandbox/policy.hpp"

namespace retire::host {

// `error` as it is; where it may come of what the plugin did not ask for in its manifest, followed by a sentence that
// says so. A guess by the kernel's words for it (EPERM, ENETUNREACH): nobody tells a process which rule refused it.
std::string with_hint(std::string_view error, const sandbox::Policy& policy);

}  // namespace retire::host
