// Starts a handler host: exec'ed, never a forked copy; in a session of its own; with a clean environment and no other
// descriptors than it is meant to have. (The sandbox of a later version is set up here and in the host's main.)
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
};

// Runs `program` with `arguments` (without the program's name); `page` becomes its descriptor 4, if it is not -1.
// Its parent process number is added as the last argument. Errors: Io, naming what failed.
Result<Spawned> spawn_host(const std::string& program, std::vector<std::string> arguments, int page);

// Ends the process and everything of its group, without asking.
void kill_group(pid_t pid);

}  // namespace retire::host
