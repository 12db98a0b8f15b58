// The worker program behind its flags.
#pragma once

#include "common/config/exit_status.hpp"
#include "worker/service/options.hpp"

namespace retire::worker {

// Runs until the worker has left, or the test of the connection is done. Errors are written on stderr, one line.
// `parsed` says which settings were given.
config::Exit run(const Options& options, const config::Parsed& parsed);

}  // namespace retire::worker
