// Starts a program in a session and process group of its own, with nothing inherited but what is named here.
#pragma once

#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace retire::handlers {

// A file descriptor that is closed with its owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

struct Limit {
  int resource;  // RLIMIT_…
  rlim_t soft;
  rlim_t hard;
};

struct SpawnRequest {
  const char* program = nullptr;  // a path; relative to `cwd` unless absolute
  char* const* argv = nullptr;    // ends with null
  char* const* envp = nullptr;    // ends with null: the whole environment
  const char* cwd = nullptr;      // null: the current one
  int in = -1;                    // the descriptors for 0, 1 and 2; all at least 3 (see above_stdio)
  int out = -1;
  int err = -1;
  std::span<const Limit> limits;
  bool no_new_privs = false;
  std::span<const sock_filter> filter;  // seccomp; takes no_new_privs. Left out where the kernel has none
};

enum class SpawnStage { None, Clone, Cwd, Limits, Exec };

struct Spawned {
  pid_t pid = -1;                        // also the process group and session; -1 when it could not be started
  Fd pidfd;                              // not valid where the kernel has none
  SpawnStage failed = SpawnStage::None;  // where it failed
  int reason = 0;                        // errno of that
};

// Shares the memory with the child until it executes, as vfork does, so that the cost does not grow with our size; the
// child runs on a stack of its own. One thread at a time.
class Spawner {
 public:
  Spawner();
  Spawned spawn(const SpawnRequest& request);

 private:
  static constexpr std::size_t kStackBytes = std::size_t{64} * 1024;
  std::unique_ptr<std::byte[]> stack_;
};

// The same descriptor, or a duplicate that is not 0, 1 or 2 (which a host with closed standard streams would hand out).
Fd above_stdio(Fd fd);

}  // namespace retire::handlers
