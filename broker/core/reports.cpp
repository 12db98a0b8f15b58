// What people are shown of tasks, devices and the cluster.
#include <algorithm>

#include "broker/core/scheduler.hpp"

namespace retire::core {
namespace {

// So that a filter which matches nothing does not hold up everybody else.
constexpr std::size_t kListLookedAtMax = 20'000;

}  // namespace

TaskReport Scheduler::report(TaskIndex place, bool with_payload, bool with_result) const {
  const Task& task = tasks_[place];
  TaskReport out;
  out.id = task.id;
  out.spec = &catalog_.spec(task.spec).spec;
  if (with_payload) out.payload = task.payload.view();
  out.status = task.status;
  out.reason = reason(place);
  out.created_at = task.created_at();
  out.retry_count = tasks_.failures(place);
  if (const TaskExtra* extra = tasks_.find_extra(place)) {
    out.metadata = extra->metadata.view();
    out.error_history = &extra->errors;
  }
  if (const Ending* ending = tasks_.find_ending(place)) {
    out.assigned_at = ending->assigned_at;
    out.started_at = ending->started_at;
    out.completed_at = ending->completed_at;
    if (ending->device) out.device_id = devices_[ending->device].capabilities.device_id;
    if (with_result) {
      out.has_result = true;
      if (ending->has_data) out.result_data = ending->data.view();
      out.run = ending->run;
      if (ending->plugin != nullptr) out.plugin = *ending->plugin;
      if (ending->output != nullptr) {
        out.error_message = ending->output->error_message.view();
        out.traceback = ending->output->traceback.view();
        out.logs = ending->output->logs.view();
      }
    }
    // The last failure of a retried task is its error too: its retries only count the earlier ones.
    if (task.status != TaskStatus::Success && out.retry_count > 0) --out.retry_count;
  } else if (const AttemptIndex current = tasks_.attempt(place)) {
    const Attempt& attempt = attempts_[current];
    out.assigned_at = attempt.assigned_wall;
    out.started_at = attempt.started_wall;
    out.device_id = devices_[attempt.device].capabilities.device_id;
    const Live* live = live_.size() == 0 ? nullptr : live_.find(place);
    if (live != nullptr && live->has_progress && live->attempt == attempt.number) {
      out.has_progress = true;
      out.progress_fraction = live->fraction;
      out.progress_text = live->text;
      out.progress_at = live->at;
    }
  }
  out.checkpoint = live_.checkpoint(place);
  return out;
}

std::uint32_t Scheduler::last_attempt(TaskIndex place) const {
  const Task& task = tasks_[place];
  const Ending* ending = tasks_.find_ending(place);
  if (ending == nullptr || !ending->device) return 0;
  const TaskExtra* extra = tasks_.find_extra(place);
  const std::uint32_t ended_badly = extra == nullptr ? 0 : extra->failures + extra->lost;
  const bool counted = task.status == TaskStatus::Failed || task.status == TaskStatus::Timeout;
  return counted ? std::max(ended_badly, 1u) : ended_badly + 1;
}

std::vector<TaskIndex> Scheduler::list(const List& request, std::optional<std::uint64_t>& next_cursor) const {
  std::vector<TaskIndex> out;
  std::size_t looked_at = 0;
  next_cursor.reset();
  tasks_.newest_first(request.cursor.value_or(0), [&](TaskIndex place) {
    const Task& task = tasks_[place];
    if (out.size() == request.limit || looked_at == kListLookedAtMax) {
      next_cursor = task.sequence + 1;
      return false;
    }
    ++looked_at;
    if (request.status && task.status != *request.status) return true;
    if (!request.type.empty() && catalog_.type_of(task.spec).name != request.type) return true;
    out.push_back(place);
    return true;
  });
  return out;
}

DeviceReport Scheduler::device_report(DeviceIndex place) const {
  const Device& device = devices_[place];
  DeviceReport out;
  out.capabilities = &device.capabilities;
  out.state = "online";
  if (!device.connected) {
    out.state = "offline";
  } else if (device.quarantined) {
    out.state = "quarantined";
    out.state_reason = "it failed, several times in a row, what other devices complete";
  } else if (device.draining || device.drained) {
    out.state = "draining";
    out.state_reason = device.drained ? "drained by an administrator" : "its worker is stopping";
  } else if (device.paused) {
    out.state = "paused";
    out.state_reason = device.pause_reason;
  }
  out.load = std::min(device.held, device.slots());
  out.held = device.held;
  out.system_load = device.system_load;
  out.last_seen = device.heard_wall;
  out.connected = device.connected;
  out.attempts_succeeded = device.succeeded;
  out.attempts_failed = device.failed;
  out.attempts_lost = device.lost;
  return out;
}

std::vector<DeviceReport> Scheduler::device_reports(std::string_view device_id) const {
  std::vector<DeviceReport> out;
  if (!device_id.empty()) {
    if (const DeviceIndex place = devices_.find(device_id)) out.push_back(device_report(place));
    return out;
  }
  devices_.for_each([&](DeviceIndex place, const Device&) { out.push_back(device_report(place)); });
  return out;
}

ClusterStatistics Scheduler::statistics(Now now) const {
  ClusterStatistics out;
  out.total_devices = devices_.size();
  devices_.for_each([&](DeviceIndex, const Device& device) {
    const std::uint32_t load = std::min(device.held, device.slots());
    if (device.connected) {
      ++out.online_devices;
      out.total_capacity += device.slots();
      out.total_load += load;
    }
    out.devices.emplace(device.capabilities.device_id,
                        ClusterStatistics::Device{device.slots(), load, &device.capabilities});
    if (device.tasks > 0) out.by_device.emplace(device.capabilities.device_id, device.tasks);
  });
  out.total_tasks = tasks_.size();
  for (std::size_t i = 0; i < out.by_status.size(); ++i) out.by_status.at(i) = tasks_.count(static_cast<TaskStatus>(i));
  out.by_type = catalog_.tasks_by_type();
  catalog_.count_by_priority(out.by_priority);
  out.tasks_scheduled = counters_.scheduled;
  out.tasks_completed = counters_.succeeded;
  out.tasks_failed = counters_.failed;
  out.tasks_retried = counters_.retried;
  out.attempts_lost = counters_.attempts_lost;
  out.leases_expired = counters_.leases_expired;
  out.results_stale = counters_.results_stale;
  if (first_) out.uptime_seconds = to_seconds(now.monotonic - *first_);
  return out;
}

void Scheduler::check_invariants(Now now) const {
  queue_.check_invariants();
  live_.check_invariants();
  std::size_t held = 0;
  devices_.for_each([&](DeviceIndex place, const Device& device) {
    std::uint32_t count = 0;
    std::uint64_t expected = 0;
    AttemptIndex last;
    for (AttemptIndex at = device.first; at; at = attempts_[at].next) {
      const Attempt& attempt = attempts_[at];
      RC_ASSERT(attempt.device == place && attempt.previous == last);
      RC_ASSERT(attempts_.find(attempt.id) == at);
      RC_ASSERT(tasks_.attempt(attempt.task) == at);
      const TaskStatus status = tasks_[attempt.task].status;
      RC_ASSERT(attempt.current == (status == TaskStatus::Assigned || status == TaskStatus::Running));
      expected += attempt.expected_us;
      last = at;
      ++count;
    }
    RC_ASSERT(device.last == last && device.held == count && device.expected_us == expected);
    RC_ASSERT(device.held_at_least(Priority::Low) == count);
    RC_ASSERT(!device.available() || device.held >= device.slots() || device.room == Room::Free);
    // A free slot and a waiting task that it could run do not stand side by side.
    if (device.available() && device.held < device.slots() && !paused_) RC_ASSERT(!next_for(place, now));
    held += count;
  });
  RC_ASSERT(held == attempts_.size());
  RC_ASSERT(loading_ != Loading::Done || tasks_.count(TaskStatus::Queued) == queue_.size() + delayed_);
}

}  // namespace retire::core
