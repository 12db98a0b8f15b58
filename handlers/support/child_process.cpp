#include "handlers/support/child_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>

#include "handlers/support/strays.hpp"

namespace retire::handlers {
namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::chrono::milliseconds kTick{50};             // how late a cancellation may be noticed
constexpr std::chrono::milliseconds kTickWithoutPidfd{5};  // how late the end of a child is, on old kernels
constexpr std::chrono::milliseconds kLateOutput{100};      // for output that comes after the child has ended

struct Pipe {
  Fd read;
  Fd write;
};

int make_pipe(Pipe& pipe) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno;
  pipe.read.reset(ends[0]);
  pipe.write = above_stdio(Fd(ends[1]));
  fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  return 0;
}

// The input as a file in memory: nothing has to be fed while the program runs, and one that never reads blocks nobody.
int make_input(std::string_view text, Fd& input) {
  input = above_stdio(Fd(memfd_create("stdin", MFD_CLOEXEC)));
  if (!input.valid()) return errno;
  while (!text.empty()) {
    const ssize_t written = write(input.get(), text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return lseek(input.get(), 0, SEEK_SET) == 0 ? 0 : errno;
}

// Whether the child has ended; it stays a zombie, so that its number still names its group and nobody else's.
bool has_ended(pid_t pid) {
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    if (errno != EINTR) return true;  // not ours to wait for: somebody ignores SIGCHLD
  }
  return info.si_pid != 0;
}

int reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return 0;
  }
  return status;
}

ChildEnd not_started(int reason) {
  ChildEnd end;
  end.failed = SpawnStage::Clone;
  end.reason = reason;
  return end;
}

}  // namespace

bool ChildEnd::signalled() const { return WIFSIGNALED(status); }
int ChildEnd::exit_code() const { return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status); }

ChildRunner::ChildRunner() { adopt_orphans(); }

// Takes what is there. False, and closed, once it is at its end.
bool ChildRunner::drain(Fd& from, BoundedOutput& to) {
  // Bounded, so that a child which writes without end does not keep us from the clock.
  for (int turn = 0; turn < 16; ++turn) {
    const ssize_t size = read(from.get(), buffer_.data(), buffer_.size());
    if (size > 0) {
      to.add({buffer_.data(), static_cast<std::size_t>(size)});
      if (static_cast<std::size_t>(size) < buffer_.size()) return true;
    } else if (size < 0 && errno == EINTR) {
      continue;
    } else if (size < 0 && errno == EAGAIN) {
      return true;
    } else {
      from.reset();
      return false;
    }
  }
  return true;
}

ChildEnd ChildRunner::run(const ChildRequest& request, BoundedOutput& out, BoundedOutput& err,
                          const retire_cluster::Context& context) {
  Pipe out_pipe;
  Pipe err_pipe;
  Fd input;
  if (const int reason = make_pipe(out_pipe)) return not_started(reason);
  if (const int reason = make_pipe(err_pipe)) return not_started(reason);
  if (!request.input.empty()) {
    if (const int reason = make_input(request.input, input)) return not_started(reason);
  } else if (!null_.valid()) {
    null_ = above_stdio(Fd(open("/dev/null", O_RDONLY | O_CLOEXEC)));
    if (!null_.valid()) return not_started(errno);
  }

  SpawnRequest spawn;
  spawn.program = request.program;
  spawn.argv = request.argv;
  spawn.envp = request.envp;
  spawn.cwd = request.cwd;
  spawn.in = input.valid() ? input.get() : null_.get();
  spawn.out = out_pipe.write.get();
  spawn.err = err_pipe.write.get();
  spawn.limits = request.limits;
  spawn.no_new_privs = request.no_new_privs;
  spawn.filter = request.filter;

  ChildEnd end;
  const Spawned child = spawner_.spawn(spawn);
  if (child.pid < 0) {
    end.failed = child.failed;
    end.reason = child.reason;
    return end;
  }
  out_pipe.write.reset();
  err_pipe.write.reset();
  input.reset();

  end.kind = ChildEnd::Kind::Exited;
  const Clock::time_point never = Clock::time_point::max();
  Clock::time_point deadline = never;
  if (request.timeout_seconds > 0) {
    deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(request.timeout_seconds));
  }
  const auto tick = child.pidfd.valid() ? kTick : kTickWithoutPidfd;
  Clock::time_point kill_at = never;       // SIGTERM was sent; SIGKILL is due
  Clock::time_point listen_until = never;  // the child has ended; its output is waited for until then
  bool killed = false;

  while (true) {
    const bool all_read = !out_pipe.read.valid() && !err_pipe.read.valid();
    if (listen_until != never && all_read) break;
    Clock::time_point now = Clock::now();
    if (now >= listen_until) break;

    if (listen_until == never) {
      if (kill_at == never && !killed) {
        if (now >= deadline) {
          end.kind = ChildEnd::Kind::TimedOut;
        } else if (context.cancelled()) {
          end.kind = ChildEnd::Kind::Cancelled;
        }
        if (end.kind != ChildEnd::Kind::Exited) {
          kill(-child.pid, SIGTERM);
          kill_at = now + std::chrono::duration_cast<Clock::duration>(Seconds(request.grace_seconds));
        }
      }
      if (now >= kill_at && !killed) {
        kill(-child.pid, SIGKILL);
        killed = true;
        kill_at = never;
      }
    }

    const Clock::time_point next = std::min({now + tick, deadline > now ? deadline : never, kill_at, listen_until});
    const timespec wait_time{0, std::clamp<long>(std::chrono::nanoseconds(next - now).count(), 0, 999'999'999)};
    std::array<pollfd, 3> fds = {{{out_pipe.read.get(), POLLIN, 0},
                                  {err_pipe.read.get(), POLLIN, 0},
                                  {listen_until == never ? child.pidfd.get() : -1, POLLIN, 0}}};
    const int ready = ppoll(fds.data(), fds.size(), &wait_time, nullptr);
    if (ready < 0 && errno != EINTR) break;
    if (out_pipe.read.valid() && fds[0].revents != 0) drain(out_pipe.read, out);
    if (err_pipe.read.valid() && fds[1].revents != 0) drain(err_pipe.read, err);
    const bool may_have_ended = fds[2].revents != 0 || !child.pidfd.valid();
    if (listen_until == never && may_have_ended && has_ended(child.pid)) {
      listen_until = Clock::now() + (end.kind == ChildEnd::Kind::Exited ? kLateOutput : kLateOutput / 10);
    }
  }
  kill(-child.pid, SIGKILL);  // what it left in its group; the zombie keeps the number from being anybody else's
  end.status = reap(child.pid);
  if (!end_children()) context.warning("a process that it started cannot be ended: it hangs in the kernel");
  // What was written before the end and not read yet, because this process was kept from running meanwhile. Nobody
  // writes any more.
  if (out_pipe.read.valid()) drain(out_pipe.read, out);
  if (err_pipe.read.valid()) drain(err_pipe.read, err);
  return end;
}

}  // namespace retire::handlers
