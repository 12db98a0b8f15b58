// A second opinion on everything main does. It sees messages and what main shows to people, and shares no code with the
// core: matching, order and resources are judged by simpler, slower code of its own. A breach ends the test.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "broker/core/scheduler.hpp"
#include "tests/sim/client_node.hpp"
#include "tests/sim/main_node.hpp"
#include "tests/sim/marks.hpp"
#include "tests/sim/worker_node.hpp"

namespace retire::sim {

class Auditor final : public WireObserver, public ClientObserver, public ExecutionObserver {
 public:
  Auditor(Marks& marks, bool ageing) : marks_(marks), ageing_(ageing) {}

  void on_received(const std::string& connection, std::string_view frame) override;
  void on_sent(const std::string& connection, std::string_view frame) override;
  void on_turn(const core::Scheduler& scheduler, Now now) override;
  void on_restart() override;
  void on_accepted(const TaskId& task) override;
  void on_result(const ResultItem& item) override;
  void on_execution(const std::string& device, const TaskId& task, TimePoint now) override;
  void on_running(const std::string& device, std::size_t running, std::size_t slots) override;

  // Breaches so far, in words.
  const std::vector<std::string>& breaches() const { return breaches_; }
  std::uint64_t trace() const { return trace_; }

  static bool could_run(const TaskSpec& spec, const Capabilities& device);

 private:
  struct Told {
    TaskStatus status;
    std::string data;
  };
  struct Given {
    TaskId task;
    std::string device;
  };
  void breach(const std::string& what) { breaches_.push_back(what); }
  void trace(std::string_view bytes);
  void tell(const ResultItem& item);
  void check_order(const core::Scheduler& scheduler, const std::vector<TaskReport>& waiting);
  void check_idle(const std::vector<DeviceReport>& devices, const std::vector<TaskReport>& waiting);
  void check_resources(const core::Scheduler& scheduler, const std::vector<DeviceReport>& devices);
  void mark_counters(const core::Scheduler& scheduler);

  Marks& marks_;
  bool ageing_;
  std::vector<std::string> breaches_;
  std::uint64_t trace_ = 0xcbf29ce484222325ull;
  std::map<std::string, std::string> devices_by_connection_;
  std::set<std::string> known_connections_;  // that said hello to this main
  std::map<std::string, Capabilities> devices_;
  std::map<TaskId, TaskSpec> specs_;
  std::map<TaskId, std::uint64_t> order_;  // in which main received them
  std::map<TaskId, Told> told_;
  std::set<TaskId> may_change_;  // retried by command
  std::set<TaskId> accepted_;
  std::map<TaskId, int> executions_;  // in this epoch of main
  std::map<TaskId, int> retries_;     // by command
  std::vector<Given> given_;          // in this turn
  bool paused_ = false;
  int starts_ = 0;  // of main
  core::Counters counters_;
  std::uint64_t received_ = 0;
  Submit submit_;
  Assign assign_;
  Results results_;
  Finished finished_;
};

}  // namespace retire::sim
