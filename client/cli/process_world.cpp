#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "client/cli/world.hpp"

namespace retire::cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int /*signal*/) { interrupted = 1; }

// A standard descriptor that is closed would be given to the next socket, and data be printed into it. Opened the wrong
// way round, so that using it fails.
void keep_standard_descriptors() {
  for (const int descriptor : {0, 1, 2}) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    const int opened = ::open("/dev/null", descriptor == 0 ? O_WRONLY : O_RDONLY);
    (void)opened;  // the lowest free one, which is `descriptor`
  }
}

bool pause_until_interrupted(Duration duration) {
  // Only here: elsewhere an interrupt ends the program at once.
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  if (interrupted == 0) ::poll(nullptr, 0, static_cast<int>(duration.count() / 1000));
  return interrupted == 0;
}

std::string become(const std::string& program, const std::vector<std::string>& arguments) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string path = error ? program : (self.parent_path() / program).string();
  std::vector<std::string> texts = {path};
  texts.insert(texts.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  if (error) {
    ::execvp(path.c_str(), argv.data());
  } else {
    ::execv(path.c_str(), argv.data());
  }
  return path + " cannot be run: " + std::strerror(errno);
}

std::size_t terminal_width() {
  struct winsize size {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

}  // namespace

World process_world() {
  keep_standard_descriptors();
  std::ios::sync_with_stdio(false);
  std::cin.tie(nullptr);
  const bool out_is_terminal = ::isatty(STDOUT_FILENO) == 1;
  return {std::cin,
          std::cout,
          std::cerr,
          config::process_environment(),
          out_is_terminal,
          ::isatty(STDERR_FILENO) == 1,
          out_is_terminal ? terminal_width() : 0,
          pause_until_interrupted,
          become};
}

}  // namespace retire::cli
