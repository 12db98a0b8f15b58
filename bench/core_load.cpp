#include "bench/core_load.hpp"

#include <algorithm>

#include "broker/core/matching.hpp"

namespace retire::bench {
namespace {

constexpr Duration kRun = std::chrono::seconds(1);  // of an attempt: too long to be sent ahead of a free slot
constexpr Duration kBetweenTurns{10};

// 256 profiles in all. The first device has the most of everything, so that each class has somewhere to run.
Capabilities device(std::uint32_t number) {
  Capabilities out;
  out.device_id = "device-" + std::to_string(number);
  out.role = "worker";
  out.platform = "linux";
  out.arch = "x86_64";
  out.cpu_count = 16u >> (number / 32 % 4);
  out.memory_total_gb = 128 - 4.0 * (number % 32);
  out.storage_total_gb = 500;
  out.slots = kSlots;
  out.handlers = {"echo", "resize", "sleep"};
  if (number % 256 < 128) out.tags = {"ssd"};
  RC_ASSERT(normalize(out).ok());
  return out;
}

// Half of the classes fit every device; the others ask for memory up to 96 GB, some of them for cores or a tag too. For
// each demand there are more devices than there is work that makes it, else the queue would fill with that work.
TaskSpec spec(std::uint32_t number, std::uint32_t classes) {
  TaskSpec out;
  out.type = "resize";
  const double share = static_cast<double>(number) / classes;
  if (number % 2 == 0) {
    out.requirements.min_memory_gb = 4 * share;
  } else {
    out.requirements.min_memory_gb = 4 + 92 * share;
    if (number % 4 == 3) out.requirements.min_cpu_cores = 4;
    if (number % 8 == 5) out.requirements.required_tags = {"ssd"};
  }
  return out;
}

}  // namespace

CoreLoad::CoreLoad(const LoadShape& shape) : shape_(shape), place_in_batch_(shape.classes, -1) {
  scheduler_ = std::make_unique<core::Scheduler>(core::SchedulerConfig{}, 1, 42);
  for (std::uint32_t i = 0; i < shape.classes; ++i) classes_.push_back(spec(i, shape.classes));
  join_devices();
}

void CoreLoad::join_devices() {
  std::vector<AttemptId> abandon;
  for (std::uint32_t i = 0; i < shape_.devices; ++i) {
    scheduler_->join(device(i), InstanceId(1, i), {}, false, now_, abandon, effects_);
  }
  settle();
}

void CoreLoad::submit_batch(std::uint32_t count) {
  batch_.specs.clear();
  batch_.tasks.clear();
  std::vector<std::uint32_t> used;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto number = static_cast<std::uint32_t>(rng_.below(shape_.classes));
    std::int32_t& place = place_in_batch_[number];
    if (place < 0) {
      place = static_cast<std::int32_t>(batch_.specs.size());
      batch_.specs.push_back(classes_[number]);
      used.push_back(number);
    }
    batch_.tasks.push_back({id_of(++submitted_), static_cast<std::uint32_t>(place), payload_, {}});
  }
  for (const std::uint32_t number : used) place_in_batch_[number] = -1;
  const auto outcome = scheduler_->submit(batch_, 1, now_, effects_);
  RC_ASSERT(std::holds_alternative<core::SubmitOutcome>(outcome));
  settle();
}

// One of those that run, drawn at random: which device is free next is chance.
void CoreLoad::finish_one() {
  const std::size_t at = rng_.below(running_.size());
  const Running one = running_[at];
  running_[at] = running_.back();
  running_.pop_back();
  FinishedItem item;
  item.task = one.task;
  item.attempt = one.attempt;
  item.outcome = Outcome::Success;
  item.data = payload_;
  item.run = kRun;
  scheduler_->finished(one.device, item, now_, effects_);
  ++finished_;
}

// What main's loop does at the end of a turn.
void CoreLoad::settle() {
  now_.monotonic += kBetweenTurns;
  now_.wall += kBetweenTurns;
  scheduler_->advance(now_, effects_);
  for (const core::AttemptIndex place : effects_.assigns) {
    const core::Attempt& attempt = scheduler_->attempt(place);
    scheduler_->put_into_assign(place, now_.monotonic);
    running_.push_back({attempt.device, attempt.id, scheduler_->task(attempt.task).id});
  }
  RC_ASSERT(effects_.lost.empty());
  effects_.clear();
}

void CoreLoad::fill() {
  while (submitted_ < shape_.queued + running_.size()) {
    submit_batch(static_cast<std::uint32_t>(
        std::min<std::uint64_t>(kSubmitBatch, shape_.queued + running_.size() - submitted_)));
  }
}

void CoreLoad::warm_up() {
  while (finished_ < core::SchedulerConfig{}.history_tasks_max + kSubmitBatch) round();
}

std::uint32_t CoreLoad::round() {
  submit_batch(kSubmitBatch);
  for (std::uint32_t left = kSubmitBatch; left > 0;) {
    const std::uint32_t now = std::min(left, kFinishBatch);
    for (std::uint32_t i = 0; i < now; ++i) finish_one();
    settle();
    left -= now;
  }
  return kSubmitBatch;
}

core::TaskIndex CoreLoad::waiting_task() {
  for (;;) {
    const core::TaskIndex place = scheduler_->find(id_of(1 + rng_.below(submitted_)));
    if (place && scheduler_->task(place).status == TaskStatus::Queued) return place;
  }
}

void CoreLoad::check() {
  scheduler_->check_invariants(now_);
  RC_ASSERT(scheduler_->counters().succeeded == finished_);
  RC_ASSERT(scheduler_->tasks().count(TaskStatus::Queued) + running_.size() == submitted_ - finished_);
  for (const Running& one : running_) {
    const TaskSpec& spec = scheduler_->spec(scheduler_->find(one.task));
    const core::Device& device = scheduler_->device(one.device);
    RC_ASSERT(core::matches(spec.type, spec.requirements, device.capabilities));
    RC_ASSERT(device.held <= kSlots);
  }
}

}  // namespace retire::bench
