// Main: the real broker between a simulated network and a store.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/service/broker.hpp"
#include "tests/fakes/durable_store.hpp"
#include "tests/sim/network.hpp"

namespace retire::sim {

// Sees what main receives and sends.
class WireObserver {
 public:
  virtual ~WireObserver() = default;
  virtual void on_received(const std::string& connection, std::string_view frame, TimePoint now) = 0;
  virtual void on_sent(const std::string& connection, std::string_view frame, TimePoint now) = 0;
  virtual void on_not_sent(const std::string& connection, std::string_view frame, TimePoint now) = 0;
  // A turn of main is over: what it decided stands.
  virtual void on_turn(const core::Scheduler& scheduler, Now now) = 0;
  // A turn in which main does not know yet which of the tasks it remembers have ended.
  virtual void on_loading(const core::Scheduler& scheduler) = 0;
  // `kept`: the tasks that it still knows, in the order of submission. `scheduler`: as it begins.
  virtual void on_restart(const std::vector<TaskId>& kept, const core::Scheduler& scheduler) = 0;
};

class MainNode final : public service::Transport {
 public:
  // `durable`: it remembers, on a disk that outlives it; a crash loses what was not durable.
  MainNode(const service::BrokerConfig& config, bool durable, Network& network, WireObserver& observer)
      : config_(config), durable_(durable), network_(network), observer_(observer) {}

  bool up() const { return broker_ != nullptr; }
  void start(std::uint64_t seed, TimePoint now);
  void crash();
  void freeze(TimePoint until) { frozen_until_ = until; }
  void deliver(Delivery&& delivery);
  TimePoint next_turn() const;
  void turn(Now now);
  const core::Scheduler& scheduler() const { return broker_->scheduler(); }

  net::Received receive(std::string& peer, std::string_view& frame) override;
  net::Connection source() const override { return {}; }
  net::Sent send(std::string_view peer, std::string&& frame, const net::Unsent& unsent) override;

 private:
  std::vector<TaskId> kept() const;

  service::BrokerConfig config_;
  bool durable_;
  Network& network_;
  WireObserver& observer_;
  testing::FakeDisk disk_;
  Rng disk_rng_{0};
  testing::FakeStore* fake_ = nullptr;  // the store, if it is durable
  TimePoint disk_due_{};                // when the disk has done what it was given
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<service::Broker> broker_;
  std::deque<Delivery> inbox_;
  Delivery current_;
  TimePoint now_{};
  TimePoint frozen_until_{};
};

}  // namespace retire::sim
