// How a process ended, in words.
#pragma once

#include <string>
#include <string_view>

namespace retire::host {

// `status` as waitpid() gave it: "signal 11 (SIGSEGV)", "exit status 3".
std::string describe_exit(int status);

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
