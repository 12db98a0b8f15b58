// How a process ended, in words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "worker/sandbox/policy.hpp"

namespace retire::host {

// `status` as waitpid() gave it: "signal 11 (SIGSEGV)", "exit status 3".
std::string describe_exit(int status);

// And what it had used, and the limit that it met, where that shows:
// "signal 25 (SIGXFSZ), at the limit of 4 GiB for a file; peak memory 12 MiB".
std::string describe_death(int status, std::uint64_t peak_bytes, const sandbox::Limits& limits);

std::string describe_peak(std::uint64_t bytes);  // "peak memory 12 MiB"

// The last of what a process prints, kept within a bound.
class OutputTail {
 public:
  void add(std::string_view bytes);
  // Whole lines where that is possible, as UTF-8.
  std::string text() const;

 private:
  std::string kept_;
};

}  // namespace retire::host
