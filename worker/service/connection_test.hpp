// --test: is there a main that answers?
#pragma once

#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/net/socket.hpp"

namespace retire::worker {

// Says hello as a client, which leaves no trace at main, and waits for the welcome. Returns main's program name.
// Errors: Unreachable within `timeout`, or what main refused with.
Result<std::string> try_connection(const Address& main, Duration timeout);

}  // namespace retire::worker
