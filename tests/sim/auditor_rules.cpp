#include <algorithm>

#include "tests/sim/auditor.hpp"

namespace retire::sim {
namespace {

double amount(const Capabilities& device, const std::string& name) {
  for (const auto& [declared, there] : device.resources) {
    if (declared == name) return there;
  }
  if (name == "cpus") return device.cpu_count;
  if (name == "memory_gb") return device.memory_total_gb;
  if (name == "gpus") return device.has_gpu ? 1 : 0;
  return 0;
}

bool contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

std::string name(const TaskId& task) { return "task " + task.text(); }

}  // namespace

bool Auditor::could_run(const TaskSpec& spec, const Capabilities& device) {
  const Requirements& r = spec.requirements;
  if (!contains(device.handlers, spec.type)) return false;
  if (device.cpu_count < r.min_cpu_cores || device.memory_total_gb < r.min_memory_gb) return false;
  if (device.storage_total_gb < r.min_storage_gb) return false;
  if ((r.gpu_required && !device.has_gpu) || (r.internet_required && !device.has_internet)) return false;
  if (!r.required_platform.empty() && r.required_platform != device.platform) return false;
  if (!r.required_role.empty() && r.required_role != device.role) return false;
  for (const std::string& tag : r.required_tags) {
    if (!contains(device.tags, tag)) return false;
  }
  for (const auto& [resource, wanted] : r.resources) {
    if (amount(device, resource) < wanted) return false;
  }
  return true;
}

void Auditor::on_running(const Capabilities& device, const std::vector<TaskId>& running) {
  if (running.size() > device.slots) {
    breach(device.device_id + " runs " + std::to_string(running.size()) + " at once in " +
           std::to_string(device.slots));
  }
  // A main that has lost its memory cannot know what its predecessor has reserved until the device has told it.
  std::map<std::string, double> taken;
  for (const TaskId& task : running) {
    const auto spec = specs_.find(task);
    if (spec == specs_.end()) continue;
    for (const auto& [resource, wanted] : spec->second.requirements.resources) taken[resource] += wanted;
  }
  for (const auto& [resource, sum] : taken) {
    if (sum > amount(device, resource) + 1e-6) {
      std::string tasks;
      for (const TaskId& task : running) tasks += " " + task.text();
      breach(device.device_id + " runs what needs more " + resource + " than it has:" + tasks);
    }
  }
}

void Auditor::on_turn(const core::Scheduler& scheduler, Now now) {
  ++turn_;
  scheduler.check_invariants(now);
  std::vector<TaskReport> waiting;
  waiting.reserve(64);
  attempted_.clear();
  scheduler.tasks().newest_first(0, [&](core::TaskIndex task) {
    const core::Task& record = scheduler.task(task);
    if (scheduler.tasks().attempt(task)) attempted_.push_back(task);
    if (record.status != TaskStatus::Queued) return true;
    TaskReport report = scheduler.report(task, false, false);
    const bool paused = is_paused(report.spec->type);
    if (report.reason == "retry_backoff") return true;
    if (paused != (report.reason == "paused")) {
      breach(name(report.id) + (paused ? " is paused" : " is not paused") + " and its reason is " +
             std::string(report.reason));
    }
    if (paused) return true;
    Waits& waits = waits_[report.id];
    if (waits.seen + 1 != turn_) waits.since = turn_;
    waits.seen = turn_;
    waiting.push_back(std::move(report));
    return true;
  });
  const std::vector<DeviceReport> devices = scheduler.device_reports("");
  for (const auto& [device, capabilities] : devices_) {
    if (!scheduler.find_device(device)) ledger_.forget(device);
  }
  unsettled_.clear();
  for (const DeviceReport& device : devices) {
    const std::string& id = device.capabilities->device_id;
    if (!scheduler.device(scheduler.find_device(id)).abandoned.empty()) unsettled_.insert(id);
  }
  const Reserved reserved = this->reserved(scheduler);
  std::erase_if(given_, [&](const Given& given) { return decided_.contains(given.attempt); });
  check_given(devices);
  if (!ageing_) {
    check_order(scheduler, waiting, devices, reserved, now);
    check_turns(scheduler, waiting, devices, reserved, now);
  }
  check_idle(devices, waiting, reserved, now);
  check_resources(devices, reserved);
  check_quarantine(devices);
  mark_counters(scheduler);
  ledger_.end_turn(now.monotonic);
  given_.clear();
  note_decided(scheduler);
}

// What is reserved on each device, added up from what main says runs there.
Auditor::Reserved Auditor::reserved(const core::Scheduler& scheduler) const {
  Reserved out;
  for (const core::TaskIndex task : attempted_) {
    const core::Attempt& attempt = scheduler.attempt(scheduler.tasks().attempt(task));
    // What a former main recorded may have been given back since: its device says so when it comes.
    const bool former = attempt.id.value() >> kAttemptCounterBits < static_cast<std::uint64_t>(starts_);
    if (former && !scheduler.device(attempt.device).connected) continue;
    const std::string& device = scheduler.device(attempt.device).capabilities.device_id;
    for (const auto& [resource, wanted] : scheduler.spec(task).requirements.resources) out[device][resource] += wanted;
  }
  return out;
}

bool Auditor::fits(const TaskReport& task, const Capabilities& device, const Reserved& reserved) const {
  if (!could_run(*task.spec, device)) return false;
  const Resources& wanted = task.spec->requirements.resources;
  if (wanted.empty()) return true;
  if (unsettled_.contains(device.device_id)) return false;
  const auto taken = reserved.find(device.device_id);
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& one) {
    double sum = one.second;
    if (taken != reserved.end() && taken->second.contains(one.first)) sum += taken->second.at(one.first);
    return sum <= amount(device, one.first) + 1e-12;
  });
}

// A task that failed on a device prefers another that could run it, for a while.
bool Auditor::avoids(const TaskReport& task, const std::string& device, const std::vector<DeviceReport>& devices,
                     Now now) const {
  if (task.error_history == nullptr) return false;
  const auto latest = std::find_if(task.error_history->rbegin(), task.error_history->rend(),
                                   [](const AttemptError& error) { return !error.lost; });
  if (latest == task.error_history->rend() || latest->device_id != device) return false;
  if (now.wall - latest->at > config_.retry_delay_max + config_.avoid_for) return false;
  return std::any_of(devices.begin(), devices.end(), [&](const DeviceReport& other) {
    return other.capabilities->device_id != device && other.state == "online" &&
           could_run(*task.spec, *other.capabilities);
  });
}

// Whoever got a task was allowed to.
void Auditor::check_given(const std::vector<DeviceReport>& devices) {
  for (const Given& given : given_) {
    const std::string to = name(given.task) + " went to " + given.device;
    if (is_paused(specs_[given.task].type)) breach(to + " although it is paused");
    for (const DeviceReport& device : devices) {
      if (device.capabilities->device_id == given.device && device.state != "online" &&
          device.state != "offline") {  // its connection may have broken over it
        breach(to + ", which is " + std::string(device.state));
      }
    }
  }
}

void Auditor::check_order(const core::Scheduler& scheduler, const std::vector<TaskReport>& waiting,
                          const std::vector<DeviceReport>& devices, const Reserved& reserved, Now now) {
  for (const Given& given : given_) {
    const core::TaskIndex place = scheduler.find(given.task);
    if (!place || is_final(scheduler.task(place).status)) continue;
    const TaskSpec& spec = specs_[given.task];
    for (const TaskReport& other : waiting) {
      // What fits now did so when the other was given: whatever was freed in this turn was freed before.
      if (!fits(other, devices_[given.device], reserved) || avoids(other, given.device, devices, now)) continue;
      const bool higher = other.spec->priority > spec.priority;
      const bool older = other.spec->priority == spec.priority && other.spec->group == spec.group &&
                         order_[other.id] < order_[given.task];
      if (higher || older) {
        const auto place_of = [&](const TaskSpec& one, const TaskId& task) {
          return " (" + std::string(to_string(one.priority)) + ", group \"" + one.group + "\", submitted as " +
                 std::to_string(order_[task]) + ")";
        };
        breach(name(other.id) + place_of(*other.spec, other.id) + " waits although it goes before " + name(given.task) +
               place_of(spec, given.task) + ", which " + given.device + " got");
      }
    }
  }
}

// Groups take turns: one that was served does not go before another of its priority that has waited since then.
void Auditor::check_turns(const core::Scheduler& scheduler, const std::vector<TaskReport>& waiting,
                          const std::vector<DeviceReport>& devices, const Reserved& reserved, Now now) {
  struct Served {
    TaskId task;
    const TaskSpec* spec;
    const Capabilities* device;
  };
  std::vector<Served> served;
  std::set<std::pair<Priority, std::string>> groups;
  std::uint64_t newest = newest_attempt_;
  for (const core::TaskIndex place : attempted_) {
    const core::Task& task = scheduler.task(place);
    const core::Attempt& attempt = scheduler.attempt(scheduler.tasks().attempt(place));
    if (attempt.id.value() <= newest_attempt_) continue;
    newest = std::max(newest, attempt.id.value());
    served.push_back({task.id, &scheduler.spec(place), &scheduler.device(attempt.device).capabilities});
    groups.emplace(served.back().spec->priority, served.back().spec->group);
  }
  newest_attempt_ = newest;
  for (const Served& one : served) {
    const std::uint64_t before = group_served_[{one.spec->priority, one.spec->group}];
    for (const TaskReport& other : waiting) {
      if (other.spec->priority != one.spec->priority || other.spec->group == one.spec->group) continue;
      const std::pair<Priority, std::string> group{other.spec->priority, other.spec->group};
      if (waits_[other.id].since >= before || groups.contains(group) || group_served_[group] >= before) continue;
      marks_.hit("two groups wait for one device");
      if (!fits(other, *one.device, reserved) || avoids(other, one.device->device_id, devices, now)) continue;
      breach("it is the turn of group \"" + other.spec->group + "\" (" + name(other.id) + ") and group \"" +
             one.spec->group + "\" was served again (" + name(one.task) + " on " + one.device->device_id + ")");
    }
  }
  for (const auto& group : groups) group_served_[group] = turn_;
}

void Auditor::check_idle(const std::vector<DeviceReport>& devices, const std::vector<TaskReport>& waiting,
                         const Reserved& reserved, Now now) {
  for (const DeviceReport& device : devices) {
    if (device.state != "online" || device.held >= device.capabilities->slots) continue;
    for (const TaskReport& task : waiting) {
      if (!fits(task, *device.capabilities, reserved)) continue;
      if (avoids(task, device.capabilities->device_id, devices, now)) continue;
      breach(device.capabilities->device_id + " has a free slot while " + name(task.id) + " waits");
    }
  }
}

void Auditor::check_resources(const std::vector<DeviceReport>& devices, const Reserved& reserved) {
  for (const DeviceReport& device : devices) {
    const auto taken = reserved.find(device.capabilities->device_id);
    if (taken == reserved.end()) continue;
    for (const auto& [resource, sum] : taken->second) {
      if (sum > amount(*device.capabilities, resource) + 1e-6) {
        breach(device.capabilities->device_id + " has more " + resource + " reserved than it has");
      }
    }
  }
}

// Only a device that fails time after time is left out.
void Auditor::check_quarantine(const std::vector<DeviceReport>& devices) {
  // The ledger knows no attempts of a former main, whose failures count as well.
  if (durable_ && starts_ > 1) return;
  constexpr int kOnProbation = 2;
  for (const DeviceReport& device : devices) {
    if (device.state != "quarantined") continue;
    const std::string& id = device.capabilities->device_id;
    if (!quarantined_.insert(id).second) continue;
    if (ledger_.device_failures(id) < kOnProbation) breach(id + " is quarantined and has not failed");
  }
  std::erase_if(quarantined_, [&](const std::string& id) {
    return std::none_of(devices.begin(), devices.end(), [&](const DeviceReport& device) {
      return device.capabilities->device_id == id && device.state == "quarantined";
    });
  });
}

}  // namespace retire::sim
