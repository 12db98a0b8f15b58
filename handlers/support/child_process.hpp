// Runs a program to its end, with its output in bounded memory, and leaves nothing of its process group behind.
#pragma once

#include <retire_cluster/context.hpp>
#include <span>
#include <string_view>
#include <vector>

#include "handlers/support/bounded_output.hpp"
#include "handlers/support/spawn.hpp"

namespace retire::handlers {

struct ChildRequest {
  const char* program = nullptr;
  char* const* argv = nullptr;
  char* const* envp = nullptr;
  const char* cwd = nullptr;
  std::string_view input;      // what it reads from its standard input
  double timeout_seconds = 0;  // 0: none but the attempt's own
  double grace_seconds = 1;    // between SIGTERM and SIGKILL; 0: SIGKILL at once
  std::span<const Limit> limits;
  bool no_new_privs = false;
  std::span<const sock_filter> filter;  // see SpawnRequest
};

struct ChildEnd {
  enum class Kind { Exited, TimedOut, Cancelled, NotStarted };
  Kind kind = Kind::NotStarted;
  int status = 0;                        // Exited: as waitpid() gives it
  SpawnStage failed = SpawnStage::None;  // NotStarted: where, and errno
  int reason = 0;

  bool signalled() const;
  int exit_code() const;  // as Python's subprocess: minus the signal's number when it died of one
};

// Kept between runs for its buffers. One thread at a time, and one runner that runs in a process at a time: it takes
// every child of the process for its own.
class ChildRunner {
 public:
  ChildRunner();
  // Returns when the program has ended, however that came about, and nothing is left of what it started: neither in its
  // process group nor in groups and sessions of their own. Starts no thread.
  ChildEnd run(const ChildRequest& request, BoundedOutput& out, BoundedOutput& err,
               const retire_cluster::Context& context);

 private:
  bool drain(Fd& from, BoundedOutput& to);

  Spawner spawner_;
  Fd null_;
  std::vector<char> buffer_ = std::vector<char>(std::size_t{64} * 1024);
};

}  // namespace retire::handlers
