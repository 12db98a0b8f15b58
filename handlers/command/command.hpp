// command: runs a program or a shell line, and gives its exit status and output.
#pragma once

#include <msgpack.hpp>
#include <retire_cluster/context.hpp>
#include <retire_cluster/payload.hpp>
#include <string>
#include <vector>

#include "handlers/support/child_process.hpp"

namespace retire::handlers {

inline constexpr std::size_t kCommandOutputMax = std::size_t{1024} * 1024;  // kept of each of stdout and stderr
inline constexpr double kCommandSecondsMax = 366.0 * 24 * 3600;

struct CommandResult {
  int return_code = 0;  // minus the signal's number when it died of one
  std::string out;
  std::string err;
  msgpack::object command;  // as it was given
  bool truncated = false;
  MSGPACK_DEFINE_MAP(MSGPACK_NVP("return_code", return_code), MSGPACK_NVP("stdout", out), MSGPACK_NVP("stderr", err),
                     MSGPACK_NVP("command", command), MSGPACK_NVP("truncated", truncated))
};

class Command {
 public:
  CommandResult run(const msgpack::object& payload, retire_cluster::Context& context);

 private:
  ChildRunner runner_;
  BoundedOutput out_{kCommandOutputMax};
  BoundedOutput err_{kCommandOutputMax};
};

}  // namespace retire::handlers
