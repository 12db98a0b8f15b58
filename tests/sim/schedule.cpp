#include "tests/sim/schedule.hpp"

#include <algorithm>
#include <functional>
#include <queue>
#include <tuple>

#include "common/base/assert.hpp"

namespace retire::sim {
namespace {

using namespace std::chrono_literals;

constexpr Duration kHeartbeat = 1s;

enum class What : std::uint8_t { Assign, Recall, Ended, Finished, Returned, Beat, Alive, Deadline };

struct Happening {
  TimePoint at;
  std::uint64_t serial = 0;  // what was sent first arrives first
  What what = What::Deadline;
  Handed task;
  Duration run{};
  std::uint64_t seen = 0;
  std::vector<std::uint64_t> held;

  friend bool operator>(const Happening& a, const Happening& b) {
    return std::tie(a.at, a.serial) > std::tie(b.at, b.serial);
  }
};

struct MachineState {
  std::deque<Handed> waiting;
  std::vector<Handed> running;
  std::uint64_t seen = 0;
};

class Run {
 public:
  Run(const Fleet& fleet, const std::vector<double>& work, Giver& giver)
      : fleet_(fleet), work_(work), giver_(giver), machines_(fleet.machines.size()), runs_(work.size()) {}

  Schedule carry_out() {
    for (std::size_t i = 0; i < machines_.size(); ++i) {
      // Not all in the same moment.
      push(now_ + kHeartbeat * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(machines_.size()), What::Beat,
           {i, 0, 0});
    }
    giver_.submit(work_.size(), now_, orders_);
    send_orders();
    while (result_.ended < work_.size()) {
      RC_ASSERT(!happenings_.empty());
      now_ = happenings_.top().at;
      // A turn of main: all that came until now, then its decisions.
      while (!happenings_.empty() && happenings_.top().at == now_) {
        const Happening one = happenings_.top();
        happenings_.pop();
        happen(one);
      }
      giver_.time_passed(now_, orders_);
      send_orders();
    }
    result_.makespan = now_ - kStart;
    result_.run_twice =
        static_cast<std::size_t>(std::count_if(runs_.begin(), runs_.end(), [](auto n) { return n > 1; }));
    return result_;
  }

 private:
  static constexpr TimePoint kStart = TimePoint(1h);

  void push(TimePoint at, What what, const Handed& task, Duration run = {}) {
    happenings_.push({at, ++serial_, what, task, run, 0, {}});
  }

  void happen(const Happening& one) {
    MachineState& machine = machines_[one.task.machine];
    switch (one.what) {
      case What::Assign:
        machine.waiting.push_back(one.task);
        ++machine.seen;
        begin_some(one.task.machine);
        break;
      case What::Recall: {
        const auto at = std::find_if(machine.waiting.begin(), machine.waiting.end(),
                                     [&](const Handed& waiting) { return waiting.handle == one.task.handle; });
        if (at == machine.waiting.end()) break;  // it has begun
        machine.waiting.erase(at);
        push(now_ + fleet_.delay, What::Returned, one.task);
        break;
      }
      case What::Ended:
        std::erase_if(machine.running, [&](const Handed& running) { return running.handle == one.task.handle; });
        push(now_ + fleet_.delay, What::Finished, one.task, one.run);
        begin_some(one.task.machine);
        break;
      case What::Finished:
        ++result_.ended;
        giver_.finished(one.task, one.run, now_, orders_);
        break;
      case What::Returned:
        ++result_.returned;
        giver_.returned(one.task, now_, orders_);
        break;
      case What::Beat: {
        Happening alive{now_ + fleet_.delay, ++serial_, What::Alive, one.task, {}, machine.seen, {}};
        for (const Handed& task : machine.running) alive.held.push_back(task.handle);
        for (const Handed& task : machine.waiting) alive.held.push_back(task.handle);
        happenings_.push(std::move(alive));
        push(now_ + kHeartbeat, What::Beat, one.task);
        break;
      }
      case What::Alive: giver_.heartbeat(one.task.machine, one.seen, one.held, now_, orders_); break;
      case What::Deadline: break;  // time_passed() follows
    }
  }

  void begin_some(std::size_t place) {
    MachineState& machine = machines_[place];
    while (machine.running.size() < fleet_.machines[place].slots && !machine.waiting.empty()) {
      const Handed task = machine.waiting.front();
      machine.waiting.pop_front();
      machine.running.push_back(task);
      ++runs_[task.task];
      const Duration run = std::max(Duration(1), from_seconds(work_[task.task] / fleet_.machines[place].speed));
      push(now_ + run, What::Ended, task, run);
    }
  }

  void send_orders() {
    for (const Handed& task : orders_.assigns) push(now_ + fleet_.delay, What::Assign, task);
    for (const Handed& task : orders_.recalls) push(now_ + fleet_.delay, What::Recall, task);
    result_.sent += orders_.assigns.size();
    orders_ = {};
    if (const std::optional<TimePoint> due = giver_.next_deadline();
        due && *due > now_ && (!deadline_ || *due < *deadline_ || *deadline_ <= now_)) {
      deadline_ = due;
      push(*due, What::Deadline, {});
    }
  }

  const Fleet& fleet_;
  const std::vector<double>& work_;
  Giver& giver_;
  std::vector<MachineState> machines_;
  std::vector<std::uint32_t> runs_;  // by task: how often it was begun
  std::priority_queue<Happening, std::vector<Happening>, std::greater<>> happenings_;
  std::uint64_t serial_ = 0;
  TimePoint now_ = kStart;
  std::optional<TimePoint> deadline_;  // the earliest that is among the happenings
  Orders orders_;
  Schedule result_;
};

}  // namespace

double Fleet::speed() const {
  double sum = 0;
  for (const Machine& machine : machines) sum += machine.speed * machine.slots;
  return sum;
}

Schedule carry_out(const Fleet& fleet, const std::vector<double>& work, Giver& giver) {
  return Run(fleet, work, giver).carry_out();
}

}  // namespace retire::sim
