// What an attempt leaves behind in its host: processes, files in the scratch directory, threads, descriptors, memory.
//
// Looked for after an attempt that ran long enough to have left anything, and before the host waits for work, so that
// attempts of a microsecond pay nothing. Threads: the host's one, between attempts; scratch() is called by a handler's
// threads.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>

#include "common/base/result.hpp"
#include "worker/host/shared_page.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::host {

class Leftovers {
 public:
  Leftovers(const sandbox::Policy& policy, SharedPage& page);
  ~Leftovers();
  Leftovers(const Leftovers&) = delete;
  Leftovers& operator=(const Leftovers&) = delete;

  // The scratch directory of the attempt that runs: private (0700), made at the first call, removed after the attempt.
  // Errors: Io.
  Result<std::string> make_scratch();

  // An attempt has ended after `run_ns`; `now_ns` by monotonic_ns().
  void after_attempt(std::uint64_t run_ns, std::int64_t now_ns) {
    unseen_ = true;
    if (run_ns >= kRunsLongNs) look(run_ns >= kGrowsNs, now_ns);
  }
  void before_waiting(std::int64_t now_ns) {
    if (unseen_) look(false, now_ns);
  }

 private:
  // Starting a process takes longer than this, and so does any call that makes a file.
  static constexpr std::uint64_t kRunsLongNs = 20'000;
  // Long enough to have made many threads, of which each takes some 10 us; of shorter ones, growth shows after some of
  // them.
  static constexpr std::uint64_t kGrowsNs = 100'000;

  void look(bool at_growth, std::int64_t now_ns);
  bool has_grown() const;

  sandbox::Policy policy_;
  SharedPage& page_;
  int directory_ = -1;  // open on the host's scratch directory
  bool unseen_ = false;
  std::int64_t grown_seen_ns_ = 0;
  std::mutex mutex_;  // guards what follows
  std::string scratch_;
};

}  // namespace retire::host
