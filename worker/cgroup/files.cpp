#include "worker/cgroup/files.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "common/sensors/files.hpp"
#include "worker/cgroup/settings.hpp"

namespace retire::cgroup {

Status write_to(int directory, const std::string& file, const std::string& value) {
  const int opened = openat(directory, file.c_str(), O_WRONLY | O_CLOEXEC);
  ssize_t wrote = -1;
  if (opened >= 0) {
    wrote = write(opened, value.data(), value.size());
    const int error = errno;
    close(opened);
    errno = error;
  }
  if (wrote == static_cast<ssize_t>(value.size())) return ok_status();
  return Error{ErrorCode::Io, file + " cannot be set to " + value + ": " + std::strerror(errno)};
}

std::string read_from(int directory, const std::string& file) {
  const int opened = openat(directory, file.c_str(), O_RDONLY | O_CLOEXEC);
  if (opened < 0) return {};
  std::string out;
  std::array<char, 4096> buffer;
  for (ssize_t got = 0; (got = read(opened, buffer.data(), buffer.size())) > 0;) {
    out.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(opened);
  return out;
}

int open_group(const std::string& path) { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }

void kill_all(int directory) {
  if (write_to(directory, "cgroup.kill", "1").ok()) return;
  const std::string listed = read_from(directory, "cgroup.procs");
  for (const std::string_view line : sensors::lines_of(listed)) {
    pid_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    if (pid > 0) kill(pid, SIGKILL);
  }
}

bool is_populated(int directory) { return count_of(read_from(directory, "cgroup.events"), "populated") > 0; }

}  // namespace retire::cgroup
