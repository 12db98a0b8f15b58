#include "tests/sim/world.hpp"

#include <algorithm>
#include <array>

namespace retire::sim {
namespace {

using namespace std::chrono_literals;

constexpr int kEvents = 60;             // submissions and faults before the world is healed
constexpr Duration kHealedFor = 4h;     // simulated; in which everything owed must arrive
constexpr NodeId kClientsFrom = 1'000;  // node numbers

service::BrokerConfig broker_config(Rng& rng, bool ageing) {
  service::BrokerConfig config;
  config.epoch = 0;
  config.heartbeat = 1s;
  config.scheduler.offline_after = 3s;
  config.scheduler.lease = 8s;
  config.scheduler.quarantine_first = 10s;
  config.scheduler.quarantine_max = 60s;
  if (ageing) config.scheduler.age_after = 2s;
  config.scheduler.held_max = 4 + static_cast<std::uint32_t>(rng.below(60));
  constexpr std::array<std::uint64_t, 3> kBudgets = {0, 60, std::uint64_t{1} << 20};
  config.scheduler.memory_budget = kBudgets.at(rng.below(kBudgets.size()));
  return config;
}

}  // namespace

World::World(std::uint64_t seed, Marks& marks)
    : seed_(seed),
      marks_(marks),
      rng_(seed * 0x9e3779b97f4a7c15ull + 1),
      faulty_(rng_.below(4) != 0),
      ageing_(rng_.below(8) == 0),
      durable_(rng_.below(3) != 0),
      now_{TimePoint(1h), WallTime(Duration(1'700'000'000'000'000))},
      config_(broker_config(rng_, ageing_)),
      auditor_(marks, ageing_, durable_, config_.scheduler),
      network_(rng_, serial_, marks) {
  Faults faults;
  faults.delay_max = Duration(static_cast<std::int64_t>(200 + rng_.below(50'000)));
  if (faulty_) {
    faults.loss = rng_.unit() * 0.1;
    faults.duplicate = rng_.unit() * 0.1;
    faults.reorder = rng_.unit() * 0.1;
    faults.break_rate = rng_.unit() * 0.02;
  }
  network_.set_faults(faults);
  main_ = std::make_unique<MainNode>(config_, durable_, network_, auditor_);
  main_->start(seed, now_.monotonic);
  add_devices();
  const std::uint64_t clients = 1 + rng_.below(3);
  for (std::uint64_t i = 0; i < clients; ++i) {
    clients_.push_back(std::make_unique<ClientNode>(kClientsFrom + static_cast<NodeId>(i), rng_.next(), network_,
                                                    marks_, auditor_, now_.monotonic));
  }
}

void World::add_devices() {
  const std::uint64_t count = 1 + rng_.below(6);
  for (std::uint64_t i = 0; i < count; ++i) {
    Capabilities device;
    device.device_id = "d" + std::to_string(i);
    device.platform = rng_.below(4) == 0 ? "android" : "linux";
    device.role = device.platform == "android" ? "mobile" : "worker";
    device.cpu_count = 1 + static_cast<std::uint32_t>(rng_.below(8));
    device.memory_total_gb = static_cast<double>(1 + rng_.below(16));
    device.storage_total_gb = 50;
    device.slots = 1 + static_cast<std::uint32_t>(rng_.below(4));
    device.handlers = {"short"};
    if (i == 0 || rng_.below(3) != 0) device.handlers.push_back("long");
    if (rng_.below(3) == 0) device.resources = {{"licence", 1}};
    RC_ASSERT(normalize(device).ok());
    const bool bad = i > 0 && rng_.below(5) == 0;
    workers_.push_back(std::make_unique<WorkerNode>(static_cast<NodeId>(i + 1), device, bad, 0.5 + rng_.unit() * 2,
                                                    network_, marks_, auditor_));
    worker_up_at_.push_back(TimePoint::max());
    workers_.back()->start(rng_.next(), now_.monotonic);
  }
}

TaskSpec World::draw_spec() {
  TaskSpec spec;
  spec.type = rng_.below(2) == 0 ? "short" : "long";
  spec.priority = static_cast<Priority>(1 + rng_.below(4));
  Requirements& r = spec.requirements;
  r.max_retries = static_cast<std::uint32_t>(rng_.below(4));
  r.timeout_seconds = 0.5 + rng_.unit() * 10;
  if (rng_.below(4) == 0) r.min_cpu_cores = static_cast<std::uint32_t>(rng_.below(6));
  if (rng_.below(6) == 0) r.min_memory_gb = static_cast<double>(rng_.below(12));
  if (rng_.below(10) == 0) r.required_platform = "linux";
  if (rng_.below(8) == 0) r.resources = {{rng_.below(2) == 0 ? "cpus" : "licence", 1}};
  if (rng_.below(12) == 0) r.at_most_once = true;
  if (rng_.below(3) == 0) spec.group = "g" + std::to_string(rng_.below(3));
  RC_ASSERT(normalize(r).ok());
  return spec;
}

void World::submit_some() {
  ClientNode& client = *clients_[rng_.below(clients_.size())];
  std::vector<Wanted> tasks;
  const std::uint64_t count = 1 + rng_.below(rng_.below(5) == 0 ? 30 : 4);
  const TaskSpec spec = draw_spec();
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t is_short = spec.type == "short" ? 1 : 0;
    const TaskId id((seed_ << 1) | is_short, ++tasks_);
    tasks.push_back({id, spec, "payload"});
    all_tasks_.push_back(id);
  }
  client.submit(tasks, now_.monotonic);
}

void World::something_happens() {
  const std::uint64_t what = rng_.below(faulty_ ? 26 : 12);
  const std::size_t which = rng_.below(workers_.size());
  WorkerNode& worker = *workers_[which];
  ClientNode& client = *clients_[rng_.below(clients_.size())];
  const TimePoint now = now_.monotonic;
  const auto later = [&](std::uint64_t ms_max) {
    return now + Duration(static_cast<std::int64_t>(rng_.below(ms_max) * 1000));
  };
  switch (what) {
    case 7:
      if (!all_tasks_.empty()) client.cancel(all_tasks_[rng_.below(all_tasks_.size())], now);
      break;
    case 8:
      for (const TaskId& task : all_tasks_) {
        if (client.knows_end(task) && rng_.below(3) == 0) {
          client.retry(task, now);
          break;
        }
      }
      break;
    case 9: {
      QueueControl control;
      control.action = rng_.below(2) == 0 ? QueueControl::Action::Pause : QueueControl::Action::Resume;
      if (rng_.below(2) == 0) control.type = "short";
      client.control(control, now);
      if (control.action == QueueControl::Action::Pause) marks_.hit("queue paused");
      break;
    }
    case 10: {
      DeviceControl control;
      control.action = static_cast<DeviceControl::Action>(rng_.below(3));
      control.device_id = worker.device().device_id;
      client.control(control, now);
      break;
    }
    case 11:
      if (worker.up()) {
        worker.drain(now);
        worker_up_at_[which] = later(20'000);
        marks_.hit("worker drained");
      }
      break;
    case 12:
    case 13:
      worker.crash();
      worker_up_at_[which] = later(20'000);
      marks_.hit("worker crashed");
      break;
    case 14:
      worker.freeze(later(20'000));
      marks_.hit("worker frozen");
      break;
    case 15:
    case 16:
    case 17:
      network_.cut(worker.id(), later(15'000));
      marks_.hit("partition of a worker");
      break;
    case 18: network_.cut(client.id(), later(5'000)); break;
    case 19:
      if (rng_.below(3) == 0 && main_->up()) {
        main_->crash();
        main_up_at_ = later(5'000);
        marks_.hit("main crashed");
      }
      break;
    case 20:
      main_->freeze(later(12'000));
      marks_.hit("main frozen");
      break;
    case 21:
      if (worker.up()) {
        worker.pause(!worker.paused(), now);
        marks_.hit(worker.paused() ? "worker paused" : "worker took work again");
      }
      break;
    default: submit_some(); break;
  }
}

// Does what is due next, but nothing after `until`.
void World::step(TimePoint until) {
  TimePoint next = until;
  const auto consider = [&](TimePoint at) { next = std::min(next, std::max(at, now_.monotonic)); };
  if (!network_.empty()) consider(network_.next());
  consider(main_->next_turn());
  consider(main_up_at_);
  for (const auto& worker : workers_) consider(worker->next_turn());
  for (const TimePoint at : worker_up_at_) consider(at);
  for (const auto& client : clients_) consider(client->next_turn());
  now_.wall += next - now_.monotonic;
  now_.monotonic = next;
  const TimePoint now = now_.monotonic;

  while (!network_.empty() && network_.next() <= now) {
    std::optional<Delivery> delivery = network_.pop();
    if (!delivery) continue;
    if (delivery->to_main) {
      main_->deliver(std::move(*delivery));
    } else if (delivery->node >= kClientsFrom) {
      clients_[delivery->node - kClientsFrom]->deliver(std::move(delivery->frame));
    } else {
      workers_[delivery->node - 1]->deliver(std::move(delivery->frame));
    }
  }
  if (main_up_at_ <= now) {
    main_up_at_ = TimePoint::max();
    if (!main_->up()) main_->start(rng_.next(), now);
  }
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    if (worker_up_at_[i] <= now) {
      worker_up_at_[i] = TimePoint::max();
      workers_[i]->start(rng_.next(), now);
    }
    if (workers_[i]->next_turn() <= now) workers_[i]->turn(now);
  }
  for (const auto& client : clients_) {
    if (client->next_turn() <= now) client->turn(now);
  }
  if (main_->next_turn() > now) return;
  const std::uint64_t expired = marks_.hits("lease expired");
  main_->turn(now_);
  if (marks_.hits("lease expired") == expired) return;
  const bool cut = std::any_of(workers_.begin(), workers_.end(),
                               [&](const auto& worker) { return worker->up() && network_.is_cut(worker->id(), now); });
  marks_.hit("lease expired during a partition", cut ? 1 : 0);
}

void World::run_until(TimePoint until) {
  while (now_.monotonic < until && auditor_.breaches().empty()) step(until);
}

void World::heal() {
  const TimePoint now = now_.monotonic;
  Faults none;
  none.delay_max = 1ms;
  network_.set_faults(none);
  main_->freeze(now);
  if (!main_->up()) main_->start(rng_.next(), now);
  main_up_at_ = TimePoint::max();
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    workers_[i]->freeze(now);
    workers_[i]->set_bad(false);
    if (workers_[i]->paused()) workers_[i]->pause(false, now);
    if (!workers_[i]->up()) worker_up_at_[i] = now;
    DeviceControl resume;
    resume.action = DeviceControl::Action::Resume;
    resume.device_id = workers_[i]->device().device_id;
    clients_[0]->control(resume, now);
  }
  QueueControl go_on;
  go_on.action = QueueControl::Action::Resume;
  clients_[0]->control(go_on, now);
  go_on.type = "short";
  clients_[0]->control(go_on, now);
  for (const auto& client : clients_) {
    for (const auto& [id, wanted] : client->tasks()) {
      const bool possible = std::any_of(workers_.begin(), workers_.end(), [&](const auto& worker) {
        return Auditor::could_run(wanted.spec, worker->device());
      });
      if (!possible) client->cancel(id, now);
    }
  }
}

bool World::all_ended() const {
  return std::all_of(clients_.begin(), clients_.end(), [](const auto& client) {
    return std::all_of(client->tasks().begin(), client->tasks().end(),
                       [&](const auto& task) { return client->knows_end(task.first); });
  });
}

std::vector<std::string> World::stuck() const {
  std::vector<std::string> out;
  for (const auto& client : clients_) {
    for (const auto& [id, wanted] : client->tasks()) {
      if (client->knows_end(id)) continue;
      std::string line = "task " + id.text() + " never ended for client " + std::to_string(client->id());
      if (const core::TaskIndex task = main_->scheduler().find(id)) {
        line += ": main says " + std::string(to_string(main_->scheduler().task(task).status)) + " " +
                std::string(main_->scheduler().reason(task));
      } else {
        line += ": main does not know it";
      }
      out.push_back(line);
    }
  }
  return out;
}

std::vector<std::string> World::run() {
  for (int i = 0; i < kEvents && auditor_.breaches().empty(); ++i) {
    something_happens();
    run_until(now_.monotonic + Duration(static_cast<std::int64_t>(rng_.below(2'000'000))));
  }
  heal();
  const TimePoint patience = now_.monotonic + kHealedFor;
  // Administrators' orders that were on their way may still take effect: the last word is said once more.
  run_until(now_.monotonic + 60s);
  heal();
  while (!all_ended() && now_.monotonic < patience && auditor_.breaches().empty()) step(patience);
  if (!auditor_.breaches().empty()) return auditor_.breaches();
  return all_ended() ? std::vector<std::string>{} : stuck();
}

}  // namespace retire::sim
