// python_eval: the value of one Python expression, found by the system's Python in a process of its own.
//
// Two fences, neither of which is trusted alone: evaluator.py refuses all but an allow-list of the parsed expression,
// and the process that runs it has an empty environment, no descriptors but its own three, limits of memory, time,
// files and processes, and a filter of system calls: no sockets, no processes, no writing to files. Before it looks at
// the expression it gives up opening any file.
#pragma once

#include <msgpack.hpp>
#include <retire_cluster/context.hpp>
#include <string>

#include "handlers/support/child_process.hpp"

namespace retire::handlers {

inline constexpr std::size_t kExpressionBytesMax = std::size_t{64} * 1024;
inline constexpr rlim_t kPythonMemoryMax = rlim_t{256} * 1024 * 1024;
inline constexpr rlim_t kPythonCpuSecondsMax = 10;
inline constexpr double kPythonSecondsMax = 30;

class PythonEval {
 public:
  PythonEval();
  // Looks for python3 in these directories; throws when it is in none of them. `evaluator`: what that runs.
  explicit PythonEval(const std::string& path, std::string evaluator = evaluator_source());
  PythonEval(const PythonEval&) = delete;  // the filter knows where python_ lies
  PythonEval& operator=(const PythonEval&) = delete;

  static std::string evaluator_source();

  // {"result": value, "expression": str}. A refusal's message begins "refused: ".
  void run(const msgpack::object& payload, retire_cluster::Context& context);

 private:
  std::string python_;
  std::string evaluator_;
  std::vector<sock_filter> filter_;
  ChildRunner runner_;
  BoundedOutput out_;
  BoundedOutput err_;
  msgpack::sbuffer result_;
};

}  // namespace retire::handlers
