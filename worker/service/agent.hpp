// The worker's loop: main's messages, the hosts' answers and the time go into the core; what comes out is done.
//
// One thread, which never waits but in the poller. Signals arrive through a descriptor: SIGTERM and SIGINT drain (a
// second one ends at once), SIGCHLD is a host that has ended. They must be blocked before any thread is started.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "common/net/socket.hpp"
#include "worker/core/core.hpp"
#include "worker/host/host_pool.hpp"
#include "worker/service/duty_watch.hpp"
#include "worker/service/kept_results.hpp"
#include "worker/service/outgoing.hpp"
#include "worker/service/plugin_watch.hpp"

namespace retire::worker {

struct AgentConfig {
  Address main;
  CoreConfig core;
  host::HostPoolConfig pool;
  Offers offers;                        // those of `core.device`
  std::vector<std::string> http_allow;  // what hosts are told beside the device
  PluginWatch* plugins = nullptr;       // where other offers come from while it runs; null: nowhere
  std::filesystem::path outbox;         // the file of unacknowledged results; empty: none
  DutyConfig duty;
  Duration tell_after = std::chrono::seconds(5);  // when it is said, once, that main does not answer
};

// SIGTERM, SIGINT and SIGCHLD blocked in this thread and those it starts, and readable from the result.
Result<int> block_signals();

class Agent final : private host::HostEvents {
 public:
  // `signals` as from block_signals(); not owned.
  Agent(AgentConfig config, net::Context& context, int signals);

  // Until the worker has left or cannot go on. Errors: Replaced, or why main refused it; Internal after a second
  // signal.
  Status run();

 private:
  void on_result(std::uint32_t slot, const host::AttemptResult& result) override;
  void on_results_end() override;
  void on_host_lost(std::uint32_t slot, const host::Loss& loss) override;

  Status loop();
  void wait();
  void read_signals();
  void read_messages();
  void on_message(net::Frame&& frame);
  void apply();
  void perform(Effects& effects);
  void hand_over(const Effects& effects);
  void obey(const Order& order);
  void open_socket();
  void send_messages(Effects& effects);
  void watch_duty();
  void watch_plugins();
  void send_progress(Progress& progress);
  void watch_connection();

  AgentConfig config_;
  net::Context& context_;
  int signals_;
  Core core_;
  host::HostPool pool_;
  DutyWatch duty_;
  std::optional<net::Dealer> dealer_;
  net::Poller poller_;
  OutgoingMessages outgoing_;
  KeptResults kept_;
  Effects effects_;    // what calls of the core add to
  Effects performed_;  // what is being done
  bool performing_ = false;
  TimePoint now_{};
  Assign assign_;
  AttemptIds attempts_;
  std::string scratch_;
  int stop_signals_ = 0;
  bool done_ = false;
  std::optional<Error> fatal_;
  bool was_joined_ = false;
  bool told_away_ = false;
  TimePoint away_since_{};
};

}  // namespace retire::worker
