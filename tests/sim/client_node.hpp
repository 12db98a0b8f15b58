// A client: the real core, and what it was told.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/core/core.hpp"
#include "common/protocol/codec.hpp"
#include "tests/sim/marks.hpp"
#include "tests/sim/network.hpp"

namespace retire::sim {

struct Wanted {
  TaskId id;
  TaskSpec spec;
  std::string payload;
};

// Told what the client was told.
class ClientObserver {
 public:
  virtual ~ClientObserver() = default;
  virtual void on_accepted(const TaskId& task) = 0;
  virtual void on_lost(const TaskId& task) = 0;  // main says that it does not know it
  virtual void on_result(const ResultItem& item) = 0;
};

class ClientNode {
 public:
  ClientNode(NodeId id, std::uint64_t seed, Network& network, Marks& marks, ClientObserver& observer, TimePoint now);

  NodeId id() const { return id_; }
  void submit(const std::vector<Wanted>& tasks, TimePoint now);
  void cancel(const TaskId& task, TimePoint now);
  void retry(const TaskId& task, TimePoint now);
  void control(const QueueControl& message, TimePoint now);
  void control(const DeviceControl& message, TimePoint now);

  void deliver(std::string&& frame) { inbox_.push_back(std::move(frame)); }
  TimePoint next_turn() const;
  void turn(TimePoint now);

  bool knows_end(const TaskId& task) const { return ended_.contains(task); }
  const std::map<TaskId, Wanted>& tasks() const { return tasks_; }

 private:
  void read(const std::string& frame, TimePoint now);
  void flush(TimePoint now);
  void post(std::uint64_t correlation, std::string&& frame, TimePoint now);
  void submit_again(const std::vector<TaskId>& lost, TimePoint now);

  NodeId id_;
  Network& network_;
  Marks& marks_;
  ClientObserver& observer_;
  client::Core core_;
  std::deque<std::string> inbox_;
  std::map<TaskId, Wanted> tasks_;
  std::map<TaskId, TaskStatus> ended_;
  TimePoint retry_send_ = TimePoint::max();
  InstanceId main_;
  Results results_;
};

}  // namespace retire::sim
