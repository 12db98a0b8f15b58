// A cluster made up for measuring the scheduler: devices and requirement classes that differ, and a queue that is kept
// at one length while tasks go through it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "broker/core/scheduler.hpp"
#include "common/base/rng.hpp"

namespace retire::bench {

struct LoadShape {
  std::uint32_t devices = 10;
  std::uint32_t queued = 1'000;
  std::uint32_t classes = 1;
  friend bool operator==(const LoadShape&, const LoadShape&) = default;
};

constexpr std::uint32_t kSlots = 2;
constexpr std::size_t kPayloadBytes = 64;
constexpr std::uint32_t kSubmitBatch = 256;  // tasks of one message of a client
constexpr std::uint32_t kFinishBatch = 16;   // results that one turn of main gathers: 10 devices have 20 slots in all

class CoreLoad {
 public:
  explicit CoreLoad(const LoadShape& shape);

  // Submits until `queued` tasks wait.
  void fill();
  // Lets tasks through until the history of finished tasks is full, so that every further one has an old one forgotten.
  void warm_up();
  // Submits one batch and finishes as many attempts: the length of the queue stays. Returns how many tasks that were.
  std::uint32_t round();
  // Aborts if anything is not as it should be.
  void check();

  core::Scheduler& scheduler() { return *scheduler_; }
  // A task that waits, drawn at random.
  core::TaskIndex waiting_task();

 private:
  struct Running {
    core::DeviceIndex device;
    AttemptId attempt;
    TaskId task;
  };

  void join_devices();
  void submit_batch(std::uint32_t count);
  void finish_one();
  void settle();
  TaskId id_of(std::uint64_t number) const { return {0x726574697265ull, number * 0x9e3779b97f4a7c15ull}; }

  LoadShape shape_;
  Rng rng_{7};
  std::unique_ptr<core::Scheduler> scheduler_;
  core::Effects effects_;
  Now now_{TimePoint(std::chrono::hours(1)), WallTime(Duration(1'700'000'000'000'000))};
  std::vector<TaskSpec> classes_;
  std::vector<std::int32_t> place_in_batch_;  // by class; -1: not in the batch that is being made
  Submit batch_;
  std::string payload_ = std::string(kPayloadBytes, 'x');
  std::vector<Running> running_;
  std::uint64_t submitted_ = 0;
  std::uint64_t finished_ = 0;
};

}  // namespace retire::bench
