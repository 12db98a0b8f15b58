#include "tests/sim/auditor.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace retire::sim {
namespace {

// SIM_TASK=…: prints what is seen of one task, to find out how a seed went wrong.
bool is_looked_at(const TaskId& task) {
  static const char* const wanted = std::getenv("SIM_TASK");
  return wanted != nullptr && task.text() == wanted;
}

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

// A task that failed on a device prefers another for a while; the auditor does not judge that preference.
bool may_avoid(const TaskReport& task, const std::string& device) {
  if (task.error_history == nullptr) return false;
  for (const AttemptError& error : *task.error_history) {
    if (error.device_id == device) return true;
  }
  return false;
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

void Auditor::trace(std::string_view bytes) {
  for (const char byte : bytes) trace_ = (trace_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3ull;
}

void Auditor::on_restart() {
  marks_.hit("main started");
  ++starts_;
  devices_by_connection_.clear();
  known_connections_.clear();
  told_.clear();
  may_change_.clear();
  executions_.clear();
  retries_.clear();
  order_.clear();
  given_.clear();
  counters_ = {};
  paused_ = false;
}

void Auditor::on_received(const std::string& connection, std::string_view frame) {
  trace(connection);
  trace(frame);
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  RC_ASSERT(envelope.ok());
  switch (envelope.value().type) {
    case MessageType::Hello: {
      Hello hello;
      RC_ASSERT(protocol::decode(envelope.value().body, hello).ok());
      known_connections_.insert(connection);
      if (!hello.device) break;
      devices_by_connection_[connection] = hello.device->device_id;
      devices_[hello.device->device_id] = *hello.device;
      break;
    }
    case MessageType::Submit:
      if (!known_connections_.contains(connection)) break;  // main will ask for hello first
      RC_ASSERT(protocol::decode(envelope.value().body, submit_).ok());
      for (const SubmitItem& item : submit_.tasks) {
        if (!order_.contains(*item.id)) order_[*item.id] = ++received_;
        specs_[*item.id] = submit_.specs[item.spec];
      }
      break;
    case MessageType::Retry: {
      TaskIds ids;
      RC_ASSERT(protocol::decode_ids(envelope.value().body, "ids", ids).ok());
      for (const TaskId& id : ids.ids) {
        if (is_looked_at(id)) std::printf("main is asked to retry it\n");
        may_change_.insert(id);
        ++retries_[id];
      }
      break;
    }
    case MessageType::Finished:
      RC_ASSERT(protocol::decode(envelope.value().body, finished_).ok());
      for (const FinishedItem& item : finished_.results) {
        if (!is_looked_at(item.task)) continue;
        std::printf("%s reports attempt %llu: %s\n", devices_by_connection_[connection].c_str(),
                    static_cast<unsigned long long>(item.attempt.value()),
                    std::string(to_string(item.outcome)).c_str());
      }
      break;
    case MessageType::Queue: {
      QueueControl control;
      RC_ASSERT(protocol::decode(envelope.value().body, control).ok());
      if (control.type.empty()) paused_ = control.action == QueueControl::Action::Pause;
      break;
    }
    default: break;
  }
}

void Auditor::on_sent(const std::string& connection, std::string_view frame) {
  trace(frame);
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  RC_ASSERT(envelope.ok());
  if (envelope.value().type == MessageType::Assign) {
    RC_ASSERT(protocol::decode(envelope.value().body, assign_).ok());
    const std::string& device = devices_by_connection_[connection];
    for (const AssignItem& item : assign_.tasks) {
      if (is_looked_at(item.task)) {
        std::printf("assigned to %s, attempt %llu\n", device.c_str(),
                    static_cast<unsigned long long>(item.attempt.value()));
      }
      const auto spec = specs_.find(item.task);
      if (spec == specs_.end()) {
        breach(name(item.task) + " was assigned and nobody submitted it");
      } else if (!could_run(spec->second, devices_[device])) {
        breach(name(item.task) + " was assigned to " + device + ", which cannot run it");
      }
      given_.push_back({item.task, device});
    }
  } else if (envelope.value().type == MessageType::Results) {
    RC_ASSERT(protocol::decode(envelope.value().body, results_).ok());
    for (const ResultItem& item : results_.results) tell(item);
  }
}

void Auditor::tell(const ResultItem& item) {
  const std::string data(item.data.value_or(""));
  if (is_looked_at(item.id)) {
    std::printf("told: %s %s\n", std::string(to_string(item.status)).c_str(), std::string(item.error_message).c_str());
  }
  const auto [told, fresh] = told_.try_emplace(item.id, Told{item.status, data});
  if (fresh || (told->second.status == item.status && told->second.data == data)) return;
  if (!may_change_.erase(item.id)) breach(name(item.id) + " ended twice, in different ways");
  told->second = {item.status, data};
}

void Auditor::on_accepted(const TaskId& task) { accepted_.insert(task); }

void Auditor::on_result(const ResultItem& item) {
  if (!is_final(item.status)) breach(name(item.id) + " has a result and is not final");
  if (item.status == TaskStatus::Success && !item.data.value_or("").starts_with(item.id.bytes())) {
    breach(name(item.id) + " has the result of another task");
  }
}

void Auditor::on_execution(const std::string& device, const TaskId& task, TimePoint now) {
  trace(device);
  trace(std::to_string(now.time_since_epoch().count()));
  const int times = ++executions_[task];
  if (is_looked_at(task)) std::printf("%.3f runs on %s\n", to_seconds(now.time_since_epoch()), device.c_str());
  const auto spec = specs_.find(task);
  // A main that has lost its memory is given the task anew; what an earlier one has sent may still run.
  const bool once = spec != specs_.end() && spec->second.requirements.at_most_once && starts_ == 1;
  if (once && times > 1 + retries_[task]) {
    breach(name(task) + " may run only once and ran again");
  }
}

void Auditor::on_running(const std::string& device, std::size_t running, std::size_t slots) {
  if (running > slots) breach(device + " runs " + std::to_string(running) + " at once in " + std::to_string(slots));
}

void Auditor::on_turn(const core::Scheduler& scheduler, Now now) {
  scheduler.check_invariants(now);
  std::vector<TaskReport> waiting;
  scheduler.tasks().newest_first(0, [&](core::TaskIndex task) {
    if (scheduler.task(task).status != TaskStatus::Queued) return true;
    TaskReport report = scheduler.report(task, false, false);
    if (report.reason != "retry_backoff" && report.reason != "paused") waiting.push_back(report);
    return true;
  });
  const std::vector<DeviceReport> devices = scheduler.device_reports("");
  if (!paused_) {
    if (!ageing_) check_order(scheduler, waiting);
    check_idle(devices, waiting);
  }
  check_resources(scheduler, devices);
  mark_counters(scheduler);
  given_.clear();
}

void Auditor::check_order(const core::Scheduler& scheduler, const std::vector<TaskReport>& waiting) {
  for (const Given& given : given_) {
    const core::TaskIndex place = scheduler.find(given.task);
    if (!place || is_final(scheduler.task(place).status)) continue;
    const TaskSpec& spec = specs_[given.task];
    for (const TaskReport& other : waiting) {
      if (!could_run(*other.spec, devices_[given.device]) || !other.spec->requirements.resources.empty()) continue;
      if (may_avoid(other, given.device)) continue;
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

void Auditor::check_idle(const std::vector<DeviceReport>& devices, const std::vector<TaskReport>& waiting) {
  for (const DeviceReport& device : devices) {
    if (device.state != "online" || device.held >= device.capabilities->slots) continue;
    for (const TaskReport& task : waiting) {
      if (!could_run(*task.spec, *device.capabilities)) continue;
      if (!task.spec->requirements.resources.empty() && device.held > 0) continue;
      if (may_avoid(task, device.capabilities->device_id)) continue;
      breach(device.capabilities->device_id + " has a free slot while " + name(task.id) + " waits");
    }
  }
}

void Auditor::check_resources(const core::Scheduler& scheduler, const std::vector<DeviceReport>& devices) {
  std::map<std::string, std::map<std::string, double>> reserved;
  scheduler.tasks().newest_first(0, [&](core::TaskIndex task) {
    const core::Task& record = scheduler.task(task);
    if (!record.attempt) return true;
    const core::Attempt& attempt = scheduler.attempt(record.attempt);
    const std::string& device = scheduler.device(attempt.device).capabilities.device_id;
    for (const auto& [resource, wanted] : scheduler.spec(task).requirements.resources) {
      reserved[device][resource] += wanted;
    }
    return true;
  });
  for (const DeviceReport& device : devices) {
    for (const auto& [resource, sum] : reserved[device.capabilities->device_id]) {
      if (sum > amount(*device.capabilities, resource) + 1e-6) {
        breach(device.capabilities->device_id + " has more " + resource + " reserved than it has");
      }
    }
  }
}

void Auditor::mark_counters(const core::Scheduler& scheduler) {
  const core::Counters& now = scheduler.counters();
  marks_.hit("late result", now.results_stale - counters_.results_stale);
  marks_.hit("attempt lost", now.attempts_lost - counters_.attempts_lost);
  marks_.hit("retry", now.retried - counters_.retried);
  marks_.hit("tasks taken back", now.recalled - counters_.recalled);
  marks_.hit("quarantine", now.quarantined - counters_.quarantined);
  marks_.hit("quarantine released", now.released - counters_.released);
  marks_.hit("lease expired", now.leases_expired - counters_.leases_expired);
  marks_.hit("cancel crossing a result", now.results_unwanted - counters_.results_unwanted);
  marks_.hit("resource freed by a lost device", now.resources_freed_by_loss - counters_.resources_freed_by_loss);
  marks_.hit("ageing past a higher priority", now.aged_past - counters_.aged_past);
  marks_.hit("set aside as poison", now.poisoned - counters_.poisoned);
  marks_.hit("at most once and lost", now.lost_once - counters_.lost_once);
  marks_.hit("retry by command", now.retried_by_command - counters_.retried_by_command);
  marks_.hit("retry on another device", now.avoided - counters_.avoided);
  counters_ = now;
}

}  // namespace retire::sim
