// A second opinion on everything main does. It sees messages and what main shows to people, and shares no code with the
// core: matching, order and resources are judged by simpler, slower code of its own. A breach ends the test.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "broker/core/scheduler.hpp"
#include "tests/sim/client_node.hpp"
#include "tests/sim/ledger.hpp"
#include "tests/sim/main_node.hpp"
#include "tests/sim/marks.hpp"
#include "tests/sim/worker_node.hpp"

namespace retire::sim {

class Auditor final : public WireObserver, public ClientObserver, public ExecutionObserver {
 public:
  Auditor(Marks& marks, bool ageing, bool durable, const core::SchedulerConfig& config)
      : marks_(marks),
        ageing_(ageing),
        durable_(durable),
        config_(config),
        ledger_({config.offline_after, config.lease, config.frozen_after}) {}

  void on_received(const std::string& connection, std::string_view frame, TimePoint now) override;
  void on_sent(const std::string& connection, std::string_view frame, TimePoint now) override;
  void on_not_sent(const std::string& connection, std::string_view frame, TimePoint now) override;
  void on_turn(const core::Scheduler& scheduler, Now now) override;
  void on_loading(const core::Scheduler& scheduler) override;
  void on_restart(const std::vector<TaskId>& kept, const core::Scheduler& scheduler) override;
  void on_accepted(const TaskId& task) override;
  void on_lost(const TaskId& task) override;
  void on_result(const ResultItem& item) override;
  void on_execution(const std::string& device, const TaskId& task, TimePoint now) override;
  void on_running(const Capabilities& device, const std::vector<TaskId>& running) override;

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
    AttemptId attempt;
    std::string device;
  };
  struct Waits {
    std::uint64_t since = 0;  // the turn
    std::uint64_t seen = 0;   // the turn in which it did so last
  };
  void breach(const std::string& what) { breaches_.push_back(what); }
  void trace(std::string_view bytes);
  void tell(const ResultItem& item);
  void remembered_pauses(const core::Scheduler& scheduler);
  // auditor_rules.cpp: what must hold after each turn
  using Reserved = std::map<std::string, std::map<std::string, double>>;  // by device and resource
  bool is_paused(const std::string& type) const { return paused_ || paused_types_.contains(type); }
  bool avoids(const TaskReport& task, const std::string& device, const std::vector<DeviceReport>& devices,
              Now now) const;
  bool fits(const TaskReport& task, const Capabilities& device, const Reserved& reserved) const;
  void check_given(const std::vector<DeviceReport>& devices);
  void check_order(const core::Scheduler& scheduler, const std::vector<TaskReport>& waiting,
                   const std::vector<DeviceReport>& devices, const Reserved& reserved, Now now);
  void check_turns(const core::Scheduler& scheduler, const std::vector<TaskReport>& waiting,
                   const std::vector<DeviceReport>& devices, const Reserved& reserved, Now now);
  void check_idle(const std::vector<DeviceReport>& devices, const std::vector<TaskReport>& waiting,
                  const Reserved& reserved, Now now);
  void check_resources(const std::vector<DeviceReport>& devices, const Reserved& reserved);
  void check_quarantine(const std::vector<DeviceReport>& devices);
  Reserved reserved(const core::Scheduler& scheduler) const;
  bool was_decided(const Assign& assign) const;
  void note_decided(const core::Scheduler& scheduler);
  void mark_counters(const core::Scheduler& scheduler);

  Marks& marks_;
  bool ageing_;
  bool durable_;  // main remembers what it has acknowledged
  core::SchedulerConfig config_;
  Ledger ledger_;
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
  std::map<TaskId, int> executions_;  // since main has remembered
  std::map<TaskId, int> retries_;     // by command
  std::vector<Given> given_;          // in this turn
  std::set<AttemptId> decided_;       // by the end of the latest turn
  bool paused_ = false;
  std::set<std::string> paused_types_;
  // What main was asked to pause (true) or resume and has not answered, in order; and what it has answered last, by
  // type ("" for all of the queue).
  struct PauseAsked {
    std::string connection;
    std::uint64_t correlation;
    std::string type;
    bool pause;
  };
  std::vector<PauseAsked> pauses_asked_;
  std::map<std::string, bool> pauses_answered_;
  std::set<std::string> quarantined_;
  std::set<std::string> unsettled_;  // where abandoned attempts may run; that nothing is reserved there is the ledger's
  std::uint64_t turn_ = 0;
  std::uint64_t newest_attempt_ = 0;
  std::map<TaskId, Waits> waits_;                                           // each that has waited at main
  std::vector<core::TaskIndex> attempted_;                                  // what has an attempt in this turn
  std::map<std::pair<Priority, std::string>, std::uint64_t> group_served_;  // by priority and group: the turn
  int starts_ = 0;                                                          // of main
  core::Counters counters_;
  std::uint64_t received_ = 0;
  Submit submit_;
  Assign assign_;
  Results results_;
  Finished finished_;
};

}  // namespace retire::sim
