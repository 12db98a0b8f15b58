#include "worker/host/death.hpp"

#include <string.h>
#include <sys/wait.h>

#include "worker/host/text.hpp"

namespace retire::host {
namespace {
constexpr std::size_t kTailBytes = 4096;
}

std::string describe_exit(int status) {
  if (WIFSIGNALED(status)) {
    const int signal = WTERMSIG(status);
    const char* name = sigabbrev_np(signal);
    return "signal " + std::to_string(signal) + (name == nullptr ? "" : " (SIG" + std::string(name) + ")");
  }
  return "exit status " + std::to_string(WEXITSTATUS(status));
}

void OutputTail::add(std::string_view bytes) {
  if (bytes.size() > kTailBytes) bytes.remove_prefix(bytes.size() - kTailBytes);
  kept_ += bytes;
  // Cut only now and then: each byte is moved once on average.
  if (kept_.size() > 4 * kTailBytes) kept_.erase(0, kept_.size() - kTailBytes);
}

std::string OutputTail::text() const {
  std::string_view tail = kept_;
  if (tail.size() > kTailBytes) {
    tail.remove_prefix(tail.size() - kTailBytes);
    const std::size_t line = tail.find('\n');
    if (line != std::string_view::npos && line + 1 < tail.size()) tail.remove_prefix(line + 1);
  }
  while (tail.ends_with('\n')) tail.remove_suffix(1);
  return clean_text(tail, kTailBytes);
}

}  // namespace retire::host
