// Measures what the duty rules ask for, and asks them.
//
// A thread of its own measures: reading a battery may take a while, and on Android it takes a program. Nothing is
// measured that no rule asks for, and without rules there is no thread.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

#include "worker/core/duty.hpp"

namespace retire::worker {

struct DutyConfig {
  DutyRules rules;
  std::filesystem::path root = "/";
  Duration interval = std::chrono::seconds(10);
};

class DutyWatch {
 public:
  // Measures once before it returns, so that a device that is to be paused never joins as one that works. Says on the
  // log which rule has nothing to go by here. Signals must be blocked as in the thread that calls.
  explicit DutyWatch(DutyConfig config);
  ~DutyWatch();
  DutyWatch(const DutyWatch&) = delete;
  DutyWatch& operator=(const DutyWatch&) = delete;

  // How long until judge() is due; zero: it is. Without rules: for ever.
  Duration until_due(TimePoint now) const;
  // Duty::update() with the latest measurement. `running`: tasks of ours.
  const std::string& judge(TimePoint now, std::uint32_t running);

 private:
  DutyReadings measure() const;
  void measure_until_stopped();
  void tell_what_is_missing() const;

  DutyConfig config_;
  Duty duty_;
  TimePoint due_{};
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopped_ = false;  // guarded by mutex_
  DutyReadings latest_;   // guarded by mutex_
  std::thread thread_;
};

}  // namespace retire::worker
