// From the flags about sandboxes to what this machine gives.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/model/capabilities.hpp"
#include "worker/sandbox/seats.hpp"
#include "worker/service/options.hpp"

namespace retire::worker {

struct Sandboxing {
  std::shared_ptr<sandbox::Seats> seats;
  Isolation achieved = Isolation::Off;  // tried, not assumed
  std::string summary;                  // one line for people
  std::vector<std::string> notes;       // what is not had and need not be
  std::vector<std::string> warnings;
};

// Starts a host that locks itself in and tries. `device` says how memory is shared out. Errors: Configuration, also for
// a strict sandbox that cannot be had; Io.
Result<Sandboxing> set_up_sandbox(const Options& options, const Capabilities& device, const std::string& handler_host);

}  // namespace retire::worker
