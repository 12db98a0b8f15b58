// What the store remembers for the core: tasks of former runs come back from it, and bytes for which there is no room
// in memory lie in it alone.
#include <algorithm>

#include "broker/core/scheduler.hpp"

namespace retire::core {
namespace {

const char* reason_of(std::string_view text) {
  for (const char* known : {"device_lost", "poison", "retries_exhausted"}) {
    if (text == known) return known;
  }
  return nullptr;
}

std::uint16_t failures_of(const Restored& record) {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(record.failures, UINT16_MAX));
}

}  // namespace

void Scheduler::recorded(const Record& record, StorePosition position, Effects& out) {
  if (!record.task) return;
  Task& task = tasks_[record.task];
  switch (record.kind) {
    case Record::Kind::Submitted:
      task.stored = position;
      // The oldest payloads are kept, since they are wanted first; a newer one can be fetched by then.
      if (resident_bytes_ + results_bytes_ > config_.memory_budget) let_go_of_payload(record.task);
      break;
    case Record::Kind::Dispatched:
      if (const AttemptIndex attempt = tasks_.attempt(record.task)) attempts_[attempt].stored = position;
      break;
    case Record::Kind::Retried:
    case Record::Kind::Requeued: {
      TaskExtra& extra = tasks_.extra(record.task);
      if (extra.stored != 0) out.released.push_back(extra.stored);
      extra.stored = position;
      break;
    }
    case Record::Kind::Ended: {
      if (!is_final(task.status)) break;
      tasks_.ending(record.task).stored = position;
      let_go_of_payload(record.task);  // hardly ever wanted again
      if (task.extra == 0) break;
      TaskExtra& extra = tasks_.extra(record.task);
      if (extra.stored != 0) out.released.push_back(extra.stored);
      extra.stored = 0;
      break;
    }
    case Record::Kind::Forgotten: break;
  }
}

void Scheduler::let_go_of_payload(TaskIndex place) {
  Task& task = tasks_[place];
  if (task.stored == 0) return;
  resident_bytes_ -= task.payload.resident();
  task.payload.drop();
}

// The results of what finished the longest ago go first. Those of this very moment are still to be told to watchers.
void Scheduler::let_go_of_results(Now now) {
  if (!config_.durable) return;
  while (results_bytes_ > config_.memory_budget / 2 && absent_results_ < history_.size()) {
    const Ended& oldest = history_[absent_results_];
    if (oldest.at == now.monotonic) return;
    ++absent_results_;
    const Task& task = tasks_[oldest.task];
    if (task.sequence != oldest.sequence || !is_final(task.status)) continue;
    Ending& ending = tasks_.ending(oldest.task);
    if (ending.ended_at != oldest.at || ending.stored == 0 || ending.absent) continue;
    results_bytes_ -= ending.resident();
    ending.absent = true;
    ending.data = Blob();
    ending.output.reset();
  }
}

void Scheduler::begin_restore(std::size_t tasks) {
  RC_ASSERT(tasks_.size() == 0 && loading_ == Loading::Done);
  tasks_.reserve(tasks);
  loading_ = Loading::Queue;
}

bool Scheduler::settled(TaskIndex task) const { return loading_ == Loading::Done || !tasks_[task].restored; }

// A device that finished tasks name and that was removed since has a place and stands in no list.
DeviceIndex Scheduler::device_named(std::string_view device_id) {
  if (device_id.empty()) return {};
  if (const DeviceIndex known = devices_.find(device_id)) return known;
  if (const auto at = removed_devices_.find(device_id); at != removed_devices_.end()) return at->second;
  const DeviceIndex place = devices_.add_removed(std::string(device_id));
  removed_devices_.emplace(device_id, place);
  return place;
}

void Scheduler::restore_device(const Capabilities& capabilities, bool drained, WallTime heard, Now now, Effects& out) {
  DeviceIndex place = devices_.find(capabilities.device_id);
  if (place && (devices_[place].connected || devices_[place].drain_decided)) {
    // It has come back before its record and told what it is; what an administrator said it does not know.
    if (devices_[place].drain_decided || devices_[place].drained == drained) return;
    if (drained) {
      drain_device(place, now, out);
    } else {  // a later record of the same device
      resume_device(place, now, out);
    }
    devices_[place].drain_decided = false;
    return;
  }
  if (!place) place = devices_.add(capabilities.device_id);
  devices_.set_capabilities(place, capabilities);
  devices_.set_flag(place, &Device::drained, drained);
  devices_[place].heard_at = now.monotonic;
  devices_[place].heard_wall = heard;
}

void Scheduler::restore_removed(std::string_view device_id) {
  const DeviceIndex place = devices_.find(device_id);
  if (!place || devices_[place].connected || devices_[place].held > 0) return;
  devices_.retire(place);
}

void Scheduler::restore(const Restored& record, Now now, Effects& out) {
  RC_ASSERT(loading_ != Loading::Done);
  const TaskIndex task = tasks_.find(record.task.id);
  if (!task && record.kind == Record::Kind::Submitted) {
    restore_submitted(record);
    return;
  }
  // It belongs to a task that was forgotten, or the task has come before.
  if (!task || settled(task) || record.kind == Record::Kind::Submitted) {
    if (record.kind != Record::Kind::Forgotten) out.released.push_back(record.position);
    return;
  }
  switch (record.kind) {
    case Record::Kind::Submitted: break;
    case Record::Kind::Dispatched: restore_dispatched(task, record, now, out); break;
    case Record::Kind::Retried:
    case Record::Kind::Requeued: restore_retried(task, record, now, out); break;
    case Record::Kind::Ended: restore_ended(task, record, now, out); break;
    case Record::Kind::Forgotten: restore_forgotten(task, now, out); break;
  }
}

void Scheduler::restore_submitted(const Restored& record) {
  const TaskReport& report = record.task;
  // Neighbours were submitted alike. A place that was freed since has an empty spec, which no task has.
  const bool same = restored_spec_ && catalog_.spec(restored_spec_).spec == *report.spec;
  const SpecIndex spec = same ? restored_spec_ : catalog_.intern(*report.spec);
  restored_spec_ = spec;
  const TaskIndex place = tasks_.add(report.id, record.sequence);
  Task& task = tasks_[place];
  task.restored = true;
  task.spec = spec;
  task.set_created_at(report.created_at);
  task.stored = record.position;
  const ByteView payload = report.payload.value_or(ByteView());
  const bool keep = loading_ == Loading::Queue && resident_bytes_ + payload.size() <= config_.memory_budget / 2;
  task.payload = keep ? Payload(payload) : Payload::absent(payload);
  resident_bytes_ += task.payload.resident();
  if (!report.metadata.empty()) tasks_.extra(place).metadata = Blob(report.metadata);
  catalog_.retain(spec);
  tasks_.set_status(place, TaskStatus::Queued);
  ++unfinished_;
  ++counters_.restored;
}

// The attempt may still be running: its device has a lease, counted from the restart, to come and say that it holds it.
void Scheduler::restore_dispatched(TaskIndex place, const Restored& record, Now now, Effects& out) {
  if (is_final(tasks_[place].status) || !record.attempt || attempts_.find(record.attempt)) {
    out.released.push_back(record.position);
    return;
  }
  drop_attempt(place, out);
  tasks_.set_failures(place, failures_of(record));
  if (record.lost > 0) tasks_.extra(place).lost = record.lost;
  const Dispatched dispatched{record.attempt, record.position, note_dispatched_to(record.task.device_id),
                              record.failures + record.lost + 1, record.task.assigned_at};
  if (loading_ == Loading::Queue) {
    put_back(place, dispatched, now);
  } else {
    // Devices speak already, and its end may be the next record: it is on nobody's books until all is known.
    dispatched_.emplace(place.value, dispatched);
  }
}

const std::string* Scheduler::note_dispatched_to(std::string_view device_id) {
  if (latest_dispatched_to_ != nullptr && *latest_dispatched_to_ == device_id) return latest_dispatched_to_;
  auto known = dispatched_to_.find(device_id);
  if (known == dispatched_to_.end()) known = dispatched_to_.emplace(device_id).first;
  return latest_dispatched_to_ = &*known;
}

void Scheduler::put_back(TaskIndex place, const Dispatched& dispatched, Now now) {
  DeviceIndex device = devices_.find(*dispatched.device_id);
  if (!device) device = devices_.add(*dispatched.device_id);
  const AttemptIndex attempt_place = attempts_.add(dispatched.attempt);
  Attempt& attempt = attempts_[attempt_place];
  attempt.task = place;
  attempt.stored = dispatched.position;
  attempt.assign = 0;
  attempt.number = dispatched.number;
  attempt.priority = spec(place).priority;
  attempt.assigned_at = now.monotonic;
  attempt.assigned_wall = dispatched.assigned_at;
  put_on(attempt_place, device);
  tasks_.set_status(place, TaskStatus::Assigned);
}

// Its attempt is over; what became of the task stands in the record that follows.
void Scheduler::drop_attempt(TaskIndex place, Effects& out) {
  if (const auto at = dispatched_.find(place.value); at != dispatched_.end()) {
    out.released.push_back(at->second.position);
    dispatched_.erase(at);
  }
  const AttemptIndex attempt = tasks_.attempt(place);
  if (!attempt) return;
  release(attempt, out);
  tasks_.set_status(place, TaskStatus::Queued);
}

void Scheduler::restore_retried(TaskIndex place, const Restored& record, Now now, Effects& out) {
  drop_attempt(place, out);
  if (is_final(tasks_[place].status)) {
    drop_ending(place, out);
    ++unfinished_;
  }
  tasks_.set_status(place, TaskStatus::Queued);
  tasks_.set_failures(place, failures_of(record));
  TaskExtra& extra = tasks_.extra(place);
  if (record.task.error_history != nullptr) extra.errors = *record.task.error_history;
  extra.lost = record.lost;
  extra.due = record.due == WallTime{} ? TimePoint{} : now.monotonic + (record.due - now.wall);
  if (extra.stored != 0) out.released.push_back(extra.stored);
  extra.stored = record.position;
}

void Scheduler::restore_ended(TaskIndex place, const Restored& record, Now now, Effects& out) {
  const TaskReport& report = record.task;
  if (is_final(tasks_[place].status) || !is_final(report.status)) {
    out.released.push_back(record.position);
    return;
  }
  drop_attempt(place, out);
  Task& task = tasks_[place];
  tasks_.set_failures(place, failures_of(record));
  if (report.error_history != nullptr && !report.error_history->empty()) {
    tasks_.extra(place).errors = *report.error_history;
  }
  if (task.extra != 0) {
    TaskExtra& extra = tasks_.extra(place);
    if (extra.stored != 0) out.released.push_back(extra.stored);
    extra.stored = 0;
    extra.lost = record.lost;
  }
  Ending& ending = tasks_.ending(place);
  ending.has_data = report.result_data.has_value();
  ending.stored = record.position;
  ending.stored_bytes =
      static_cast<std::uint32_t>(report.result_data.value_or("").size() + report.error_message.size() +
                                 report.traceback.size() + report.logs.size());
  ending.run = report.run;
  ending.plugin = plugin_names_.intern(report.plugin);
  ending.reason = reason_of(report.reason);
  ending.assigned_at = report.assigned_at;
  ending.started_at = report.started_at;
  ending.completed_at = report.completed_at;
  ending.device = device_named(report.device_id);
  if (ending.device) ++devices_[ending.device].tasks;
  note_restored_end(place, report.status, now);
  let_go_of_payload(place);
}

// Into the history, by the calendar: an end cannot be later than now, nor earlier than the one before it.
void Scheduler::note_restored_end(TaskIndex place, TaskStatus status, Now now) {
  Ending& ending = tasks_.ending(place);
  std::deque<Ended>& history = loading_ == Loading::Queue ? history_ : older_history_;
  TimePoint at = now.monotonic - std::max<Duration>(now.wall - ending.completed_at, Duration(1));
  if (!history.empty()) at = std::max(at, history.back().at);
  ending.ended_at = at;
  ending.absent = true;
  tasks_.set_status(place, status);
  history_bytes_ += kept_bytes(place);
  history.push_back({place, tasks_[place].sequence, at});
  if (loading_ == Loading::Queue) ++absent_results_;
  --unfinished_;
}

void Scheduler::restore_forgotten(TaskIndex place, Now now, Effects& out) {
  drop_attempt(place, out);
  const bool ended = is_final(tasks_[place].status);
  if (!ended) note_restored_end(place, TaskStatus::Cancelled, now);
  forget(place, out);
  if (!ended) {  // its place in the history would push out one that is kept
    (loading_ == Loading::Queue ? history_ : older_history_).pop_back();
    if (loading_ == Loading::Queue) --absent_results_;
  }
  out.records.pop_back();  // that it is forgotten stands on record already
  --counters_.restored;
}

void Scheduler::queue_restored(Now now) {
  RC_ASSERT(loading_ == Loading::Queue);
  queue_what_waits(now);
  devices_.for_each([&](DeviceIndex, const Device& device) { counters_.restored_running += device.held; });
  give_leases(now);
  loading_ = Loading::History;
  unfinished_ = 0;
}

// From now on each device that is away has a lease to come and say what it holds.
void Scheduler::give_leases(Now now) {
  devices_.for_each([&](DeviceIndex place, const Device& device) {
    if (device.connected || device.held == 0 || device.silence_due > now.monotonic) return;
    devices_[place].heard_at = now.monotonic;
    time_silence(place, now.monotonic + config_.lease);
  });
}

// In the order of submission, so that each goes behind the one before.
void Scheduler::queue_what_waits(Now now) {
  const bool first = loading_ == Loading::Queue;
  tasks_.oldest_first([&](TaskIndex place) {
    Task& task = tasks_[place];
    const bool restored = task.restored;
    task.restored = false;
    if (task.status != TaskStatus::Queued || task.delayed || (!first && !restored)) return;
    // What was submitted during loading has been counted already.
    if (restored) waiting_bytes_ += task.payload.size();
    const TaskExtra* extra = tasks_.find_extra(place);
    if (extra != nullptr && extra->due > now.monotonic) {
      task.delayed = true;
      ++delayed_;
      retries_.push({extra->due, place.value, task.sequence});
      return;
    }
    if (first) {
      queue_.push_new(place);
    } else {
      queue_.push_returned(place);
    }
    refresh(catalog_.spec(task.spec).task_class);
  });
}

void Scheduler::end_restore(Now now) {
  RC_ASSERT(loading_ == Loading::History);
  std::vector<std::pair<TaskIndex, Dispatched>> running;
  for (const auto& [task, dispatched] : dispatched_) running.emplace_back(TaskIndex{task}, dispatched);
  std::sort(running.begin(), running.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [task, dispatched] : running) put_back(task, dispatched, now);
  dispatched_ = {};
  dispatched_to_.clear();
  latest_dispatched_to_ = nullptr;
  give_leases(now);
  if (unfinished_ > 0) queue_what_waits(now);
  loading_ = Loading::Done;
  removed_devices_.clear();
  absent_results_ += older_history_.size();
  history_.insert(history_.begin(), older_history_.begin(), older_history_.end());
  older_history_.clear();
  older_history_.shrink_to_fit();
  counters_.restored_ended = history_.size();
}

}  // namespace retire::core
