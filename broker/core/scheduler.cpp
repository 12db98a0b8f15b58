// The life of a task: submitted, cancelled, finished, tried again, kept for a while, forgotten.
#include "broker/core/scheduler.hpp"

#include <algorithm>

namespace retire::core {
namespace {

constexpr std::uint32_t kTypeMeanWeightMax = 64;
// The first attempts of a type on a device may start its hosts: they say nothing about the network.
constexpr std::uint32_t kColdRuns = 4;

TaskStatus status_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::Success: return TaskStatus::Success;
    case Outcome::Timeout: return TaskStatus::Timeout;
    case Outcome::Cancelled: return TaskStatus::Cancelled;
    case Outcome::Failed:
    case Outcome::FailedPermanently:
    case Outcome::Crashed:
    case Outcome::HandedBack: return TaskStatus::Failed;
  }
  return TaskStatus::Failed;
}

// How long a task that was handed back waits, so that it does not go round and round between main and one device.
constexpr Duration kHandedBackDelay = std::chrono::milliseconds(100);

// How many items ahead memory is asked for.
constexpr std::size_t kFetchAhead = 8;

// A limit that was lowered must not hold up everything else.
constexpr std::size_t kExpiredAtOnceMax = 4'096;

}  // namespace

Scheduler::Scheduler(const SchedulerConfig& config, std::uint64_t epoch, std::uint64_t seed)
    : config_(config), epoch_(epoch), rng_(seed), devices_(catalog_), queue_(tasks_, catalog_), live_(config.live) {
  tasks_.continue_behind(epoch << kAttemptCounterBits);
}

bool Scheduler::same_content(TaskIndex place, SpecIndex spec, const SubmitItem& item) const {
  const Task& task = tasks_[place];
  const TaskExtra* extra = tasks_.find_extra(place);
  const ByteView metadata = extra == nullptr ? ByteView{} : extra->metadata.view();
  return task.spec == spec && task.payload.is(item.payload) && metadata == item.metadata;
}

std::optional<BatchError> Scheduler::check_room(const Submit& batch) const {
  std::uint64_t bytes = 0;
  for (const SubmitItem& item : batch.tasks) bytes += item.payload.size();
  const std::uint64_t waiting = tasks_.count(TaskStatus::Queued);
  if (waiting + batch.tasks.size() > config_.waiting_tasks_max) {
    return BatchError{{ErrorCode::Busy, "the queue holds " + std::to_string(waiting) + " tasks and may hold " +
                                            std::to_string(config_.waiting_tasks_max) + "; try again later"},
                      std::nullopt,
                      config_.busy_retry_after};
  }
  if (waiting_bytes_ + bytes > config_.waiting_bytes_max) {
    return BatchError{
        {ErrorCode::Busy, "the queue holds " + std::to_string(waiting_bytes_) + " bytes of payloads and may hold " +
                              std::to_string(config_.waiting_bytes_max) + "; try again later"},
        std::nullopt,
        config_.busy_retry_after};
  }
  return std::nullopt;
}

std::variant<SubmitOutcome, BatchError> Scheduler::submit(const Submit& batch, Watcher watcher, Now now, Effects& out) {
  if (auto refused = check_room(batch)) return *refused;

  std::vector<SpecIndex> specs;
  specs.reserve(batch.specs.size());
  for (const TaskSpec& spec : batch.specs) specs.push_back(catalog_.intern(spec));
  const auto drop_unused_specs = [&] {
    std::sort(specs.begin(), specs.end());
    specs.erase(std::unique(specs.begin(), specs.end()), specs.end());
    for (const SpecIndex spec : specs) {
      if (catalog_.unused(spec)) catalog_.drop(spec);
    }
  };

  SubmitOutcome outcome;
  outcome.tasks.reserve(batch.tasks.size());
  std::vector<TaskIndex> added;
  added.reserve(batch.tasks.size());
  for (std::size_t i = 0; i < batch.tasks.size(); ++i) {
    if (i + kFetchAhead < batch.tasks.size() && batch.tasks[i + kFetchAhead].id) {
      tasks_.fetch(*batch.tasks[i + kFetchAhead].id);
    }
    const SubmitItem& item = batch.tasks[i];
    const SpecIndex spec = specs[item.spec];
    const TaskId id = item.id ? *item.id : Uuid::random(rng_.next(), rng_.next());
    if (const TaskIndex known = tasks_.find(id)) {
      if (!same_content(known, spec, item)) {
        for (const TaskIndex task : added) {
          catalog_.release(tasks_[task].spec);
          tasks_.remove(task);
        }
        drop_unused_specs();
        return BatchError{
            {ErrorCode::Conflict,
             "task ID " + id.text() + " is in use for other content; choose another ID or send the same content"},
            i,
            std::nullopt};
      }
      outcome.tasks.push_back(known);
      outcome.known.push_back(i);
      continue;
    }
    const TaskIndex place = tasks_.add(id);
    Task& task = tasks_[place];
    task.spec = spec;
    task.set_created_at(now.wall);
    task.payload = Payload(item.payload);
    task.watcher = watcher;
    if (!item.metadata.empty()) tasks_.extra(place).metadata = Blob(item.metadata);
    catalog_.retain(spec);
    added.push_back(place);
    outcome.tasks.push_back(place);
  }

  for (const TaskIndex place : added) {
    const Task& task = tasks_[place];
    tasks_.set_status(place, TaskStatus::Queued);
    waiting_bytes_ += task.payload.size();
    resident_bytes_ += task.payload.resident();
    if (loading_ != Loading::Queue) {
      queue_.push_new(place);
      refresh(catalog_.spec(task.spec).task_class);
    }
    out.records.push_back({Record::Kind::Submitted, place, task.id, 0});
  }
  counters_.submitted += added.size();
  counters_.submitted_again += outcome.known.size();
  drop_unused_specs();
  return outcome;
}

bool Scheduler::watch(TaskIndex task, Watcher watcher) {
  if (tasks_[task].watcher != 0 && tasks_[task].watcher != watcher) return false;
  tasks_[task].watcher = watcher;
  return true;
}

std::optional<bool> Scheduler::cancel(const TaskId& id, Now now, Effects& out) {
  const TaskIndex place = tasks_.find(id);
  if (!place) return std::nullopt;
  Task& task = tasks_[place];
  if (is_final(task.status)) return false;
  if (const AttemptIndex held = tasks_.attempt(place)) {
    Attempt& attempt = attempts_[held];
    const Attempt copy = attempt;
    if (attempt.assign == kNotSent) {
      release(held, out);
    } else {
      attempt.current = false;
      out.stops.push_back({attempt.device, attempt.id});
    }
    end(place, TaskStatus::Cancelled, nullptr, &copy, nullptr, now, out);
    return true;
  }
  if (task.delayed) {
    task.delayed = false;
    --delayed_;
  } else {
    queue_.remove(place);
  }
  waiting_bytes_ -= task.payload.size();
  end(place, TaskStatus::Cancelled, nullptr, nullptr, nullptr, now, out);
  return true;
}

void Scheduler::queue_again(TaskIndex place, Effects& /*out*/) {
  Task& task = tasks_[place];
  tasks_.set_status(place, TaskStatus::Queued);
  if (task.delayed) {
    task.delayed = false;
    --delayed_;
  } else {
    waiting_bytes_ += task.payload.size();
  }
  if (loading_ == Loading::Queue) return;  // all that waits is put into the queue when everything is known
  queue_.push_returned(place);
  refresh(catalog_.spec(task.spec).task_class);
  // When it need not avoid a device any more, that one may be the only one with room.
  if (const TaskExtra* extra = tasks_.find_extra(place);
      extra != nullptr && extra->avoid && extra->avoid_until > latest_) {
    tasks_.extra(place).due = extra->avoid_until;
    retries_.push({extra->avoid_until, place.value, task.sequence});
  }
}

void Scheduler::retry_later(TaskIndex place, Duration delay, Now now, Effects& /*out*/) {
  Task& task = tasks_[place];
  tasks_.set_status(place, TaskStatus::Queued);
  task.delayed = true;
  ++delayed_;
  waiting_bytes_ += task.payload.size();
  const TimePoint due = now.monotonic + delay;
  tasks_.extra(place).due = due;
  retries_.push({due, place.value, task.sequence});
}

// Delay before the next attempt: doubles with each failure up to the maximum, then uniform in [half, full], so that
// tasks which failed together do not come back together.
Duration Scheduler::retry_delay(std::uint32_t failures) {
  RC_ASSERT(failures >= 1);
  const std::uint32_t doublings = std::min(failures - 1, 20u);
  const Duration full = std::min(config_.retry_delay_first * (std::int64_t{1} << doublings), config_.retry_delay_max);
  const Duration half = full / 2;
  return half + Duration(static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>((full - half).count()) + 1)));
}

void Scheduler::note_error(TaskIndex place, const Attempt& attempt, Outcome outcome, bool lost,
                           std::string_view message, Now now) {
  TaskExtra& extra = tasks_.extra(place);
  if (extra.errors.size() >= kErrorHistoryMax) extra.errors.erase(extra.errors.begin());
  extra.errors.push_back({attempt.number, devices_[attempt.device].capabilities.device_id, outcome, lost,
                          std::string(message.substr(0, 1024)), now.wall});
}

void Scheduler::finished(DeviceIndex device, const FinishedItem& item, Now now, Effects& out) {
  attempts_.fetch(item.attempt);
  devices_.fetch(device);
  heard(device, now);
  const AttemptIndex place = attempts_.find(item.attempt);
  if (place) tasks_.fetch(attempts_[place].task);
  if (!owns(device, place) || tasks_[attempts_[place].task].id != item.task) {
    ++counters_.results_stale;  // of an attempt we gave up: expected, not an error
    has_ended(device, item.attempt);
    return;
  }
  const Attempt attempt = attempts_[place];
  const TaskIndex task = attempt.task;
  if (item.outcome == Outcome::Success) {  // a failure says nothing about how long the work takes
    Type& type = catalog_.type(catalog_.class_of(tasks_[task].spec).type);
    devices_[device].learn(type.serial, item.run, now.monotonic);
    if (attempt.to_free_slot && devices_[device].estimate(type.serial)->count > kColdRuns) {
      devices_[device].learn_round_trip(now.monotonic - attempt.assigned_at - item.run);
    }
    type.runs = std::min(type.runs + 1, kTypeMeanWeightMax);
    type.mean_us += (static_cast<double>(item.run.count()) - type.mean_us) / type.runs;
  }
  release(place, out);
  if (!attempt.current) {
    if (item.outcome == Outcome::Success) ++counters_.results_unwanted;
    return;
  }

  switch (item.outcome) {
    case Outcome::Success:
      ++devices_[device].succeeded;
      note_success(task, device, now);
      end(task, TaskStatus::Success, nullptr, &attempt, &item, now, out);
      return;
    case Outcome::Cancelled:
    case Outcome::HandedBack: {
      // Nobody here asked for its end: the device could not keep it.
      const bool ran = item.outcome == Outcome::Cancelled;
      if (ran && spec(task).requirements.at_most_once) {
        end(task, TaskStatus::Failed, "device_lost", &attempt, &item, now, out);
      } else {
        retry_later(task, kHandedBackDelay, now, out);
      }
      return;
    }
    case Outcome::Failed:
    case Outcome::FailedPermanently:
    case Outcome::Timeout:
    case Outcome::Crashed:
      ++devices_[device].failed;
      if (item.outcome != Outcome::FailedPermanently) note_failure(task, device, now, out);
      fail_attempt(task, attempt, item, now, out);
      return;
  }
}

void Scheduler::fail_attempt(TaskIndex place, const Attempt& attempt, const FinishedItem& item, Now now, Effects& out) {
  const std::uint32_t failures = std::min<std::uint32_t>(tasks_.failures(place) + 1, UINT16_MAX);
  tasks_.set_failures(place, failures);
  note_error(place, attempt, item.outcome, false, item.error_message, now);
  const std::uint32_t retries = spec(place).requirements.retries();
  if (item.outcome != Outcome::FailedPermanently && failures <= retries) {
    ++counters_.retried;
    const Duration delay = retry_delay(failures);
    tasks_.extra(place).avoid = attempt.device;
    tasks_.extra(place).avoid_until = now.monotonic + delay + config_.avoid_for;
    retry_later(place, delay, now, out);
    out.records.push_back({Record::Kind::Retried, place, tasks_[place].id, 0});
    return;
  }
  const bool used_up = item.outcome != Outcome::FailedPermanently && retries > 0;
  end(place, status_of(item.outcome), used_up ? "retries_exhausted" : nullptr, &attempt, &item, now, out);
}

void Scheduler::end(TaskIndex place, TaskStatus status, const char* reason, const Attempt* attempt,
                    const FinishedItem* item, Now now, Effects& out) {
  tasks_.set_status(place, status);
  live_.drop(place);
  Ending& ending = tasks_.ending(place);
  ending.reason = reason;
  ending.completed_at = now.wall;
  ending.ended_at = now.monotonic;
  if (attempt != nullptr) {
    ending.device = attempt->device;
    if (!tasks_.attempt(place)) ++devices_[attempt->device].tasks;  // its release has counted it out
    ending.assigned_at = attempt->assigned_wall;
    ending.started_at = attempt->started_wall;
  }
  if (item != nullptr) {
    ending.run = item->run;
    ending.plugin = plugin_names_.intern(item->plugin);
    ending.has_data = item->data.has_value();
    if (item->data) ending.data = Blob(*item->data);
    const std::size_t beside = item->error_message.size() + item->traceback.size() + item->logs.size();
    if (beside > 0) {
      ending.output = std::make_unique<Output>();
      ending.output->error_message = Blob(item->error_message);
      ending.output->traceback = Blob(item->traceback);
      ending.output->logs = Blob(item->logs);
    }
    ending.stored_bytes = static_cast<std::uint32_t>(ending.data.size() + beside);
    if (ending.started_at == WallTime{}) ending.started_at = std::max(now.wall - item->run, ending.assigned_at);
  }
  if (status == TaskStatus::Success) {
    ++counters_.succeeded;
  } else if (status != TaskStatus::Cancelled) {
    ++counters_.failed;
  }
  history_bytes_ += kept_bytes(place);
  results_bytes_ += ending.resident();
  history_.push_back({place, tasks_[place].sequence, now.monotonic});
  out.ended.push_back(place);
  out.records.push_back({Record::Kind::Ended, place, tasks_[place].id});
}

std::optional<bool> Scheduler::retry(const TaskId& id, Now /*now*/, Effects& out) {
  const TaskIndex place = tasks_.find(id);
  if (!place) return std::nullopt;
  Task& task = tasks_[place];
  if (task.status != TaskStatus::Failed && task.status != TaskStatus::Timeout) return false;
  drop_ending(place, out);
  if (task.extra != 0) {
    TaskExtra& extra = tasks_.extra(place);
    extra.failures = 0;
    extra.lost = 0;
    extra.avoid = {};
  }
  ++counters_.retried_by_command;
  queue_again(place, out);
  out.records.push_back({Record::Kind::Requeued, place, id, 0});
  return true;
}

void Scheduler::pause(const std::string& type, Now now, Effects& out) {
  if (type.empty()) {
    paused_ = true;
  } else {
    catalog_.pause_type(type, true);
  }
  devices_.for_each([&](DeviceIndex device, const Device&) { recall_all(device, type, now, out); });
}

void Scheduler::resume(const std::string& type, Now /*now*/, Effects& /*out*/) {
  if (type.empty()) {
    paused_ = false;
  } else {
    catalog_.pause_type(type, false);
  }
  refresh_devices();
}

// What a finished task takes of the history's bytes, in memory or in the store.
std::uint64_t Scheduler::kept_bytes(TaskIndex place) const {
  return sizeof(Task) + sizeof(Ending) + tasks_.find_ending(place)->stored_bytes + tasks_[place].payload.size();
}

void Scheduler::drop_ending(TaskIndex place, Effects& out) {
  const Ending* ending = tasks_.find_ending(place);
  RC_ASSERT(ending != nullptr);
  history_bytes_ -= kept_bytes(place);
  results_bytes_ -= ending->resident();
  if (ending->stored != 0) out.released.push_back(ending->stored);
  if (ending->device) {
    --devices_[ending->device].tasks;
    devices_.free_if_unused(ending->device);
  }
  tasks_.drop_ending(place);
}

void Scheduler::forget(TaskIndex place, Effects& out) {
  const Task& task = tasks_[place];
  RC_ASSERT(!tasks_.attempt(place));
  drop_ending(place, out);
  resident_bytes_ -= task.payload.resident();
  if (task.stored != 0) out.released.push_back(task.stored);
  if (const TaskExtra* extra = tasks_.find_extra(place); extra != nullptr && extra->stored != 0) {
    out.released.push_back(extra->stored);
  }
  out.records.push_back({Record::Kind::Forgotten, {}, task.id, task.stored});
  const SpecIndex spec = task.spec;
  tasks_.remove(place);
  if (catalog_.release(spec)) {
    queue_.drop_lane(spec);
    catalog_.drop(spec);
  }
}

bool Scheduler::history_is_full() const {
  return history_.size() > config_.history_tasks_max || history_bytes_ > config_.history_bytes_max;
}

void Scheduler::expire_history(Now now, Effects& out) {
  if (loading_ != Loading::Done) return;
  const auto over = [&] {
    return history_is_full() || (!history_.empty() && now.monotonic - history_.front().at > config_.history_age_max);
  };
  std::size_t kept = 0;
  for (std::size_t n = 0; n < kExpiredAtOnceMax && history_.size() > kept && over(); ++n) {
    const Ended oldest = history_.front();
    if (oldest.at == now.monotonic) break;  // its watchers are still to be told
    // What goes after it, in this turn or the next.
    if (history_.size() > 2 * kFetchAhead) {
      tasks_.fetch(history_[2 * kFetchAhead].task);
      tasks_.fetch_parts(history_[kFetchAhead].task);
      if (const Ending* ending = tasks_.find_ending(history_[kFetchAhead / 2].task)) ending->data.fetch();
    }
    history_.pop_front();
    if (absent_results_ > 0) --absent_results_;
    const Task& task = tasks_[oldest.task];
    if (task.sequence != oldest.sequence || !is_final(task.status)) continue;
    if (tasks_.find_ending(oldest.task)->ended_at != oldest.at) continue;  // retried since, and ended again
    if (tasks_.attempt(oldest.task)) {  // cancelled, and its device has not said yet that it stopped
      tasks_.ending(oldest.task).ended_at = now.monotonic;
      history_.push_back({oldest.task, oldest.sequence, now.monotonic});
      ++kept;
      continue;
    }
    forget(oldest.task, out);
  }
}

}  // namespace retire::core
