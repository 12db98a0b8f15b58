// One simulated cluster, from its seed: what is in it, what goes wrong, and in which order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/base/rng.hpp"
#include "tests/sim/auditor.hpp"
#include "tests/sim/client_node.hpp"
#include "tests/sim/main_node.hpp"
#include "tests/sim/marks.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/worker_node.hpp"

namespace retire::sim {

class World {
 public:
  World(std::uint64_t seed, Marks& marks);

  // With faults for a while, then healed, until every task has ended. Returns what was wrong, in words; empty: nothing.
  std::vector<std::string> run();
  std::uint64_t trace() const { return auditor_.trace(); }

 private:
  void add_devices();
  TaskSpec draw_spec();
  void submit_some();
  void something_happens();
  void heal();
  bool all_ended() const;
  void step(TimePoint until);
  void run_until(TimePoint until);
  std::vector<std::string> stuck() const;

  std::uint64_t seed_;
  Marks& marks_;
  Rng rng_;
  std::uint64_t serial_ = 0;
  bool faulty_;
  bool ageing_;
  bool durable_;
  Now now_;
  service::BrokerConfig config_;
  Auditor auditor_;
  Network network_;
  std::unique_ptr<MainNode> main_;
  std::vector<std::unique_ptr<WorkerNode>> workers_;
  std::vector<std::unique_ptr<ClientNode>> clients_;
  std::vector<TimePoint> worker_up_at_;
  TimePoint main_up_at_ = TimePoint::max();
  std::uint64_t tasks_ = 0;
  std::vector<TaskId> all_tasks_;
};

}  // namespace retire::sim
