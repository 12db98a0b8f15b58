// A process locks itself in.
#pragma once

#include "common/base/result.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::sandbox {

// For a host, which has one thread and has loaded nothing foreign yet: limits, user, files, system calls, in this
// order, each for good. Level::Strict wants its namespaces arranged already. Environment and current directory become
// those of the scratch directory. At Level::Off nothing but HOME and the like stays as it is. Errors: Io, naming what
// failed: then the process is to end.
Status enter(const Policy& policy);

// What a process that has entered finds to be so, by trying: a line for each feature, "NAME" when it works, else
// "NAME: why not".
std::vector<std::string> inspect(const Policy& policy);

}  // namespace retire::sandbox
