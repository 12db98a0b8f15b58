// Starts a handler host's program: exec'ed, never a forked copy; in a session of its own; with a clean environment and
// no other descriptors than it is meant to have. What starts is the supervisor (supervisor.hpp), and the host below it.
// Threads: any; but a supervisor ends with the thread that started it.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"

namespace retire::host {

// A file descriptor that is closed with it.
class Fd {
 public:
  explicit Fd(int descriptor = -1) : descriptor_(descriptor) {}
  Fd(Fd&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return descriptor_; }
  void reset();

 private:
  int descriptor_;
};

struct Spawned {
  pid_t pid = -1;
  Fd socket;  // ours, not blocking
  Fd output;  // what it prints, to be read; not blocking
  Fd report;  // where its HostReport comes; not blocking
};

// Descriptors for it, beside its socket; -1: none. They stay the caller's.
struct Inherited {
  int page = -1;
  int plugin = -1;
  int user_lock = -1;
  int group = -1;
};

// Runs `program` with `arguments` (without the program's name). Its parent process number is added as the last
// argument. The first message on the socket is to be its policy. Errors: Io, naming what failed.
Result<Spawned> spawn_host(const std::string& program, std::vector<std::string> arguments, const Inherited& inherited);

// Asks the supervisor to end the host and everything it has started; it ends when nothing is left.
void end_host(pid_t pid);
// And waits for that. Returns the supervisor's status.
int wait_for_end(pid_t pid);
// Without waiting: true once it has ended.
bool has_ended(pid_t pid, int& status);

// Ends what has come to this process from supervisors that were killed. True when nothing of the kind is left.
bool end_orphans();

}  // namespace retire::host
