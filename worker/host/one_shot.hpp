// A host that says one thing and ends: for probing plugins and checking sandboxes.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "worker/sandbox/seats.hpp"

namespace retire::host {

struct Said {
  std::string bytes;         // what came on its socket
  std::string how_it_ended;  // "exit status 0; peak memory 6 MiB"
  std::string last_line;     // of its output; may be empty
  bool too_late = false;
  bool too_much = false;
  bool stopped = false;  // by `stop`
};

// A descriptor of the plugin's image, and one that ends all waiting when it becomes readable; -1: none. What the host
// is given beyond the least.
struct OneShotOptions {
  int plugin = -1;
  int stop = -1;
  sandbox::Terms terms{};
};

// Starts `program` with `arguments` on a seat of its own, sends `message` after the policy, and reads until it ends; at
// most for `timeout` and `bytes_max` bytes, then it is killed. Blocks. Threads: any. Errors: what Seats::take() and
// spawn_host() say.
Result<Said> run_once(const std::string& program, std::vector<std::string> arguments, sandbox::Seats& seats,
                      const std::string& message, Duration timeout, std::size_t bytes_max,
                      const OneShotOptions& options = {});

}  // namespace retire::host
