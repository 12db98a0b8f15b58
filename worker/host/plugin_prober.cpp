#include "worker/host/plugin_prober.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "worker/host/death.hpp"
#include "worker/host/spawn.hpp"

namespace retire::host {
namespace {

constexpr std::size_t kManifestMax = std::size_t{64} << 20;

// How it ended, which it does within a second or is made to.
int wait_for(pid_t pid) {
  for (int i = 0; i < 100; ++i) {
    siginfo_t ended{};
    waitid(P_PID, static_cast<id_t>(pid), &ended, WEXITED | WNOHANG | WNOWAIT);
    if (ended.si_pid != 0) break;
    usleep(10'000);
  }
  kill_group(pid);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string with_output(std::string why, const OutputTail& tail) {
  const std::string text = tail.text();
  const std::size_t line = text.rfind('\n');
  const std::string last = line == std::string::npos ? text : text.substr(line + 1);
  if (!last.empty()) why += "; its last line of output: " + last;
  return why;
}

}  // namespace

Result<Manifest> probe_plugin(const std::string& program, const std::string& plugin_file, const Setup& setup,
                              Duration timeout) {
  Result<Spawned> started = spawn_host(program, {"--probe", plugin_file}, -1);
  if (!started.ok()) return started.error();
  Spawned host = std::move(started).value();
  const std::string body = encode_setup(setup);
  const auto size = static_cast<std::uint32_t>(body.size());
  std::string unsent(reinterpret_cast<const char*>(&size), sizeof size);
  unsent += body;

  const auto refuse = [&](const std::string& why) { return Error{ErrorCode::PluginRefused, plugin_file + ": " + why}; };
  const auto until = std::chrono::steady_clock::now() + timeout;
  std::string manifest;
  OutputTail tail;
  bool output_open = true;
  for (bool done = false; !done;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || manifest.size() > kManifestMax) {
      kill_group(host.pid);
      wait_for(host.pid);
      return refuse(with_output(
          left.count() <= 0 ? "did not say what it offers within the time allowed" : "its manifest is too large",
          tail));
    }
    const short wanted = unsent.empty() ? POLLIN : static_cast<short>(POLLIN | POLLOUT);
    std::array<pollfd, 2> polled{pollfd{host.socket.get(), wanted, 0},
                                 pollfd{output_open ? host.output.get() : -1, POLLIN, 0}};
    if (poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0) continue;
    if ((polled[0].revents & POLLOUT) != 0) {
      const ssize_t wrote = send(host.socket.get(), unsent.data(), unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (wrote > 0) unsent.erase(0, static_cast<std::size_t>(wrote));
    }
    std::array<char, 65536> buffer;
    if ((polled[1].revents & (POLLIN | POLLHUP)) != 0) {
      const ssize_t got = read(host.output.get(), buffer.data(), buffer.size());
      if (got > 0) tail.add({buffer.data(), static_cast<std::size_t>(got)});
      output_open = got > 0 || (got < 0 && errno != EIO);
    }
    if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      const ssize_t got = recv(host.socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (got > 0) {
        manifest.append(buffer.data(), static_cast<std::size_t>(got));
      } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        done = true;
      }
    }
  }
  const int status = wait_for(host.pid);
  if (manifest.empty()) return refuse(with_output("died while it was loaded: " + describe_exit(status), tail));
  Result<Manifest> read = decode_manifest(manifest);
  if (!read.ok()) {
    const std::string& why = read.error().detail;
    return why.find(plugin_file) != std::string::npos ? Error{ErrorCode::PluginRefused, why} : refuse(why);
  }
  return read;
}

}  // namespace retire::host
