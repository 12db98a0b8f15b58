#include "worker/host/one_shot.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "worker/host/death.hpp"
#include "worker/host/spawn.hpp"
#include "worker/host/wire.hpp"

namespace retire::host {
namespace {

void append(std::string& to, const std::string& message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  to.append(reinterpret_cast<const char*>(&size), sizeof size);
  to += message;
}

}  // namespace

Result<Said> run_once(const std::string& program, std::vector<std::string> arguments, sandbox::Seats& seats,
                      const std::string& message, Duration timeout, std::size_t bytes_max,
                      const OneShotOptions& options) {
  Result<sandbox::Seat> seat = seats.take(options.terms);
  if (!seat.ok()) return seat.error();
  cgroup::Group* const group = seat.value().group();
  Result<Spawned> started =
      spawn_host(program, std::move(arguments),
                 {-1, options.plugin, seat.value().lock(), group == nullptr ? -1 : group->descriptor()});
  if (!started.ok()) return started.error();
  const Spawned host = std::move(started).value();
  std::string unsent;
  append(unsent, sandbox::encode(seat.value().policy()));
  append(unsent, message);

  const auto until = std::chrono::steady_clock::now() + timeout;
  Said said;
  OutputTail tail;
  bool output_open = true;
  for (bool done = false; !done;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    said.too_late = left.count() <= 0;
    said.too_much = said.bytes.size() > bytes_max;
    if (said.too_late || said.too_much) break;
    const short wanted = unsent.empty() ? POLLIN : static_cast<short>(POLLIN | POLLOUT);
    std::array<pollfd, 3> polled{pollfd{host.socket.get(), wanted, 0},
                                 pollfd{output_open ? host.output.get() : -1, POLLIN, 0},
                                 pollfd{options.stop, POLLIN, 0}};
    if (poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0) continue;
    said.stopped = polled[2].revents != 0;
    if (said.stopped) break;
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
        said.bytes.append(buffer.data(), static_cast<std::size_t>(got));
      } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        done = true;
      }
    }
  }
  // What has said all may take a moment to end by itself; what has been cut off may not.
  if (!said.too_late && !said.too_much && !said.stopped) {
    pollfd ended{host.report.get(), POLLIN, 0};
    poll(&ended, 1, 1000);
  }
  end_host(host.pid);
  const int status = wait_for_end(host.pid);
  for (std::array<char, 65536> buffer; output_open;) {
    const ssize_t got = read(host.output.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    tail.add({buffer.data(), static_cast<std::size_t>(got)});
  }
  HostReport report;
  const bool reported = read(host.report.get(), &report, sizeof report) == static_cast<ssize_t>(sizeof report);
  if (!reported && group != nullptr) group->end();
  said.how_it_ended = reported ? describe_death(report.status, report.peak_bytes, seat.value().policy().limits,
                                                group == nullptr ? cgroup::Use{} : group->use())
                               : describe_exit(status);
  const std::string text = tail.text();
  const std::size_t line = text.rfind('\n');
  said.last_line = line == std::string::npos ? text : text.substr(line + 1);
  return said;
}

}  // namespace retire::host
