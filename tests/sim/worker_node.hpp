// A worker: the real core, with handler hosts that run by the plan.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/protocol/codec.hpp"
#include "tests/sim/marks.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/plan.hpp"
#include "worker/core/core.hpp"

namespace retire::sim {

// Told of everything that really runs.
class ExecutionObserver {
 public:
  virtual ~ExecutionObserver() = default;
  virtual void on_execution(const std::string& device, const TaskId& task, TimePoint now) = 0;
  virtual void on_running(const Capabilities& device, const std::vector<TaskId>& running) = 0;
};

class WorkerNode {
 public:
  WorkerNode(NodeId id, Capabilities device, bool bad, double speed, Network& network, Marks& marks,
             ExecutionObserver& observer)
      : id_(id),
        device_(std::move(device)),
        bad_(bad),
        speed_(speed),
        network_(network),
        marks_(marks),
        observer_(observer) {}

  NodeId id() const { return id_; }
  const Capabilities& device() const { return device_; }
  bool up() const { return core_ != nullptr; }
  void set_bad(bool bad) { bad_ = bad; }

  void start(std::uint64_t seed, TimePoint now);
  void crash();
  void drain(TimePoint now);
  bool paused() const { return up() && core_->paused(); }
  void pause(bool paused, TimePoint now);
  void freeze(TimePoint until) { frozen_until_ = until; }

  void deliver(std::string&& frame) { inbox_.push_back(std::move(frame)); }
  TimePoint next_turn() const;
  void turn(TimePoint now);

 private:
  struct Job {
    worker::Sequence sequence = 0;
    TaskId task;
    std::uint32_t number = 1;
  };
  // The process behind one slot.
  struct Host {
    std::deque<Job> jobs;  // the first one runs
    TimePoint started{};
    TimePoint ends{};  // max: never by itself
    Plan plan;
  };

  void read(const std::string& frame, TimePoint now);
  void apply(TimePoint now);
  void perform(worker::Effects& effects, TimePoint now);
  void begin_next(Host& host, TimePoint now);
  void run_hosts(TimePoint now);
  void finish_job(worker::SlotIndex slot, Host& host, Outcome outcome, TimePoint now);
  void lose_host(worker::SlotIndex slot, Host& host, TimePoint now);

  NodeId id_;
  Capabilities device_;
  bool bad_;
  double speed_;
  Network& network_;
  Marks& marks_;
  ExecutionObserver& observer_;
  std::unique_ptr<worker::Core> core_;
  worker::Effects effects_;
  worker::Effects performed_;
  bool performing_ = false;
  bool done_ = false;
  TimePoint frozen_until_{};
  std::deque<std::string> inbox_;
  std::map<worker::SlotIndex, Host> hosts_;
  std::map<std::uint64_t, protocol::FinishedBatch> open_batches_;
  std::map<std::uint64_t, std::string> batches_;  // encoded, until acknowledged
  Assign assign_;
  AttemptIds attempts_;
};

}  // namespace retire::sim
