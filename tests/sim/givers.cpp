#include <string>

#include "broker/core/scheduler.hpp"
#include "common/base/assert.hpp"
#include "tests/sim/schedule.hpp"

namespace retire::sim {
namespace {

constexpr const char* kType = "work";

class CoreGiver : public Giver {
 public:
  CoreGiver(const Fleet& fleet, std::uint64_t seed) : scheduler_(core::SchedulerConfig{}, 1, seed) {
    std::vector<AttemptId> abandon;
    for (std::size_t i = 0; i < fleet.machines.size(); ++i) {
      Capabilities device;
      device.device_id = "device-" + std::to_string(i);
      device.role = "worker";
      device.platform = "linux";
      device.cpu_count = fleet.machines[i].slots;
      device.memory_total_gb = 4;
      device.storage_total_gb = 50;
      device.slots = fleet.machines[i].slots;
      device.handlers = {kType};
      RC_ASSERT(normalize(device).ok());
      places_.push_back(scheduler_.join(device, InstanceId(1, i), {}, false, at(TimePoint(kStart)), abandon, effects_));
    }
  }

  void submit(std::size_t tasks, TimePoint now, Orders& out) override {
    for (std::size_t first = 0; first < tasks; first += kBatch) {
      Submit batch;
      batch.specs = {{kType, Priority::Normal, {}, ""}};
      for (std::size_t i = first; i < std::min(first + kBatch, tasks); ++i) {
        batch.tasks.push_back({TaskId(1, i + 1), 0, "p", {}});
      }
      RC_ASSERT(std::holds_alternative<core::SubmitOutcome>(scheduler_.submit(batch, 0, at(now), effects_)));
    }
    time_passed(now, out);
  }

  void finished(const Handed& what, Duration run, TimePoint now, Orders& /*out*/) override {
    FinishedItem item;
    item.task = TaskId(1, what.task + 1);
    item.attempt = AttemptId(what.handle);
    item.outcome = Outcome::Success;
    item.data = "r";
    item.run = run;
    scheduler_.finished(places_[what.machine], item, at(now), effects_);
  }

  void returned(const Handed& what, TimePoint now, Orders& /*out*/) override {
    const std::vector<AttemptId> attempts = {AttemptId(what.handle)};
    scheduler_.returned(places_[what.machine], attempts, at(now), effects_);
  }

  void heartbeat(std::size_t machine, std::uint64_t seen, const std::vector<std::uint64_t>& held, TimePoint now,
                 Orders& /*out*/) override {
    Heartbeat beat;
    beat.from_worker = true;
    beat.seen = seen;
    for (const std::uint64_t handle : held) beat.held.emplace_back(handle);
    scheduler_.heartbeat(places_[machine], beat, at(now), effects_);
  }

  void time_passed(TimePoint now, Orders& out) override {
    scheduler_.advance(at(now), effects_);
    for (const core::AttemptIndex place : effects_.assigns) {
      const core::Attempt& attempt = scheduler_.attempt(place);
      scheduler_.put_into_assign(place, now);
      scheduler_.close_assign(attempt.device);
      out.assigns.push_back({machine_of(attempt.device),
                             static_cast<std::size_t>(scheduler_.task(attempt.task).id.low() - 1), attempt.id.value()});
    }
    for (const core::Effects::Order& order : effects_.recalls) {
      out.recalls.push_back({machine_of(order.device), 0, order.attempt.value()});
    }
    RC_ASSERT(effects_.lost.empty());
    effects_.clear();
  }

  std::optional<TimePoint> next_deadline() const override { return scheduler_.next_deadline(); }

 private:
  static constexpr Duration kStart = std::chrono::hours(1);
  static constexpr std::size_t kBatch = 10'000;

  static Now at(TimePoint now) { return {now, WallTime(now.time_since_epoch())}; }
  std::size_t machine_of(core::DeviceIndex device) const {
    const auto found = std::find(places_.begin(), places_.end(), device);
    RC_ASSERT(found != places_.end());
    return static_cast<std::size_t>(found - places_.begin());
  }

  core::Scheduler scheduler_;
  core::Effects effects_;
  std::vector<core::DeviceIndex> places_;  // by machine
};

// What the two simple ones do not do.
class SimpleGiver : public Giver {
 public:
  void returned(const Handed& /*what*/, TimePoint /*now*/, Orders& /*out*/) override {}
  void heartbeat(std::size_t /*machine*/, std::uint64_t /*seen*/, const std::vector<std::uint64_t>& /*held*/,
                 TimePoint /*now*/, Orders& /*out*/) override {}
  void time_passed(TimePoint /*now*/, Orders& /*out*/) override {}
  std::optional<TimePoint> next_deadline() const override { return std::nullopt; }
};

class FirstFitGiver : public SimpleGiver {
 public:
  explicit FirstFitGiver(const Fleet& fleet) {
    for (const Fleet::Machine& machine : fleet.machines) free_.push_back(machine.slots);
  }
  void submit(std::size_t tasks, TimePoint /*now*/, Orders& out) override {
    tasks_ = tasks;
    give(out);
  }
  void finished(const Handed& what, Duration /*run*/, TimePoint /*now*/, Orders& out) override {
    ++free_[what.machine];
    give(out);
  }

 private:
  void give(Orders& out) {
    for (std::size_t machine = 0; machine < free_.size(); ++machine) {
      for (; free_[machine] > 0 && next_ < tasks_; ++next_, --free_[machine]) {
        out.assigns.push_back({machine, next_, next_});
      }
    }
  }
  std::vector<std::uint32_t> free_;
  std::size_t next_ = 0;
  std::size_t tasks_ = 0;
};

class RandomGiver : public SimpleGiver {
 public:
  RandomGiver(const Fleet& fleet, std::uint64_t seed) : machines_(fleet.machines.size()), rng_(seed) {}
  void submit(std::size_t tasks, TimePoint /*now*/, Orders& out) override {
    for (std::size_t i = 0; i < tasks; ++i) out.assigns.push_back({rng_.below(machines_), i, i});
  }
  void finished(const Handed& /*what*/, Duration /*run*/, TimePoint /*now*/, Orders& /*out*/) override {}

 private:
  std::size_t machines_;
  Rng rng_;
};

}  // namespace

std::unique_ptr<Giver> core_giver(const Fleet& fleet, std::uint64_t seed) {
  return std::make_unique<CoreGiver>(fleet, seed);
}
std::unique_ptr<Giver> first_fit_giver(const Fleet& fleet) { return std::make_unique<FirstFitGiver>(fleet); }
std::unique_ptr<Giver> random_giver(const Fleet& fleet, std::uint64_t seed) {
  return std::make_unique<RandomGiver>(fleet, seed);
}

}  // namespace retire::sim
