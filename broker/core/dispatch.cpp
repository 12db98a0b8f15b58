// Which task goes to which device, and what comes back from a device that has too much.
#include <algorithm>
#include <limits>

#include "broker/core/scheduler.hpp"

namespace retire::core {
namespace {

// With this few devices all that have room are compared; with more, a sample: the best of a few drawn at random is
// nearly as good as the best of all (Mitzenmacher: "The power of two choices in randomized load balancing", 2001).
constexpr std::uint32_t kCompareAllMax = 32;
constexpr std::uint32_t kSampleSize = 8;
// A device that has not run the type lately must be this much faster to be preferred over a warm one.
constexpr double kColdFactor = 1.2;
constexpr Duration kWarmFor = std::chrono::minutes(2);
constexpr std::uint32_t kSurplusLookedAtMax = 16;
constexpr std::uint32_t kRecallLookedAtMax = 1024;

}  // namespace

void Scheduler::advance(Now now, Effects& out) {
  if (!first_) first_ = now.monotonic;
  if (first_ != now.monotonic && now.monotonic - latest_ > config_.frozen_after) {
    const Duration stood_still = now.monotonic - latest_;
    for (std::uint32_t i = 1; i <= devices_.last(); ++i) {
      Device& device = devices_[DeviceIndex{i}];
      if (!device.known || (!device.connected && device.held == 0)) continue;  // nothing of it can be over
      device.heard_at = std::min(now.monotonic, device.heard_at + stood_still);
    }
  }
  latest_ = now.monotonic;
  if (loading_ == Loading::Queue) return;  // nothing may be decided about what is only half known

  while (!retries_.empty() && retries_.top().due <= now.monotonic) {
    const Timer timer = retries_.top();
    retries_.pop();
    const TaskIndex place{timer.place};
    const Task& task = tasks_[place];
    if (task.sequence != timer.serial || task.status != TaskStatus::Queued) continue;
    if (const TaskExtra* extra = tasks_.find_extra(place); extra == nullptr || extra->due != timer.due) continue;
    if (task.delayed) {
      queue_again(place, out);
    } else {
      refresh(catalog_.spec(task.spec).task_class);  // it need not avoid a device any more
    }
  }
  while (!quarantines_.empty() && quarantines_.top().due <= now.monotonic) {
    const DeviceIndex device{quarantines_.top().place};
    const TimePoint due = quarantines_.top().due;
    quarantines_.pop();
    if (devices_[device].quarantined && devices_[device].quarantined_until == due) release_quarantine(device, now);
  }
  while (!silences_.empty() && silences_.top().due <= now.monotonic) {
    const DeviceIndex device{silences_.top().place};
    const TimePoint due = silences_.top().due;
    silences_.pop();
    if (devices_[device].known && devices_[device].silence_due == due) check_silence(device, now, out);
  }
  dispatch(now, out);
  let_go_of_results(now);
  expire_history(now, out);
}

std::optional<TimePoint> Scheduler::next_deadline() const {
  std::optional<TimePoint> next;
  if (loading_ == Loading::Queue) return next;
  const auto consider = [&](TimePoint due) { next = next ? std::min(*next, due) : due; };
  if (!retries_.empty()) consider(retries_.top().due);
  if (!silences_.empty()) consider(silences_.top().due);
  if (!quarantines_.empty()) consider(quarantines_.top().due);
  if (recall_due_) consider(*recall_due_);
  if (!history_.empty()) consider(history_.front().at + config_.history_age_max);
  if (history_is_full() && loading_ == Loading::Done && history_.front().at < latest_) consider(latest_);
  return next;
}

void Scheduler::refresh(ClassIndex task_class) {
  if (fresh_classes_.test(task_class.value)) return;
  fresh_classes_.set(task_class.value);
  fresh_.push_back(task_class);
}

void Scheduler::refresh_devices() {
  devices_.for_each([&](DeviceIndex place, const Device&) { changed(place); });
}

void Scheduler::dispatch(Now now, Effects& out) {
  if (paused_) {  // what has changed since is looked at when it goes on
    recall_due_.reset();
    return;
  }
  std::vector<DeviceIndex> refill;
  refill.swap(refill_);
  std::vector<ClassIndex> fresh;
  fresh.swap(fresh_);
  for (const ClassIndex task_class : fresh) fresh_classes_.reset(task_class.value);
  const std::size_t share = queue_.size() / std::max<std::size_t>(devices_.online(), 1) + 1;

  // Free slots first, so that what was taken back for an idle device does not return to where it came from. A device
  // takes the best of what it can run; a class that has just got tasks looks for a device.
  for (const DeviceIndex place : refill) {
    const Device& device = devices_[place];
    if (device.known && device.available() && device.held < device.slots()) {
      fill(place, device.slots() - device.held, now, out);
    }
  }
  for (const ClassIndex task_class : fresh) {
    DeviceIndex unwelcome;  // what waits has failed there and prefers another
    while (queue_.waiting(task_class) > 0 && !catalog_.is_paused(task_class)) {
      const DeviceIndex device = choose_device(task_class, Room::Free, unwelcome);
      if (!device) break;
      if (!fill(device, 1, now, out)) {
        if (unwelcome) break;
        unwelcome = device;
      }
    }
  }
  // Then ahead of time, to devices whose work is short, each its share.
  for (const DeviceIndex place : refill) {
    const Device& device = devices_[place];
    if (device.known && device.available() && device.room == Room::Ahead) fill(place, share, now, out);
  }
  for (const ClassIndex task_class : fresh) {
    while (queue_.waiting(task_class) > 0 && !catalog_.is_paused(task_class)) {
      DeviceIndex device = choose_device(task_class, Room::Ahead, {});
      if (!device) device = choose_overtaken(task_class, queue_.highest_waiting(task_class));
      if (!device || !fill(device, share, now, out)) break;
    }
    if (queue_.waiting(task_class) > 0 && !catalog_.is_paused(task_class)) recall_for_urgent(task_class, now, out);
  }
  refill.clear();
  if (refill_.empty()) refill_.swap(refill);  // keeps the capacity
  recall_for_idle(now, out);
}

// The first in order of what the device may run now.
ReadyQueue::Next Scheduler::next_for(DeviceIndex place, Now now) const {
  const Device& device = devices_[place];
  return queue_.next(
      catalog_.profile(device.profile).classes,
      [&](ClassIndex task_class) {
        return !catalog_.is_paused(task_class) && devices_.fits(device, catalog_.task_class(task_class));
      },
      [&](TaskIndex task) { return welcome(task, place, now); }, now.wall, config_.age_after);
}

// A task that failed on a device prefers another for a while, if another could run it.
bool Scheduler::welcome(TaskIndex place, DeviceIndex device, Now now) const {
  const TaskExtra* extra = tasks_.find_extra(place);
  if (extra == nullptr || extra->avoid != device || extra->avoid_until <= now.monotonic) return true;
  std::uint32_t available = 0;
  const Bits& profiles = catalog_.class_of(tasks_[place].spec).profiles;
  profiles.for_each_common(profiles, 0, [&](std::uint32_t i) {
    available += devices_.load(ProfileIndex{i}).available;
    return available < 2;
  });
  return available < 2;
}

bool Scheduler::fill(DeviceIndex place, std::size_t limit, Now now, Effects& out) {
  std::size_t n = 0;
  for (; n < limit; ++n) {
    const ReadyQueue::Next next = next_for(place, now);
    if (!next) break;
    if (!may_take(devices_[place], next)) {
      recall_less_urgent(place, next.priority, out);
      break;
    }
    queue_.take(next.task);
    assign(next, place, now, out);
  }
  devices_.update_room(place, config_.ahead_work, config_.held_max);
  return n > 0;
}

// The first task in order is the only one that is asked about: a later one may not overtake it on the same device.
bool Scheduler::may_take(const Device& device, ReadyQueue::Next next) const {
  if (device.held < device.slots()) return true;
  const SpecIndex spec_place = tasks_[next.task].spec;
  const Class& task_class = catalog_.class_of(spec_place);
  const TaskSpec& spec = catalog_.spec(spec_place).spec;
  if (!task_class.demands.resources.empty() || spec.requirements.at_most_once) return false;
  if (device.held >= config_.held_max) return false;
  // Something of lower priority is waiting there: the device starts the higher one first.
  if (device.held > device.slots() && device.held_at_least(next.priority) < device.slots()) return true;
  if (device.estimate(catalog_.type(task_class.type).serial) == nullptr) return false;
  const double expected = expected_us(device, task_class);
  return static_cast<double>(device.expected_us) + expected <= device.work_max_us(config_.ahead_work) ||
         device.bridges(expected);
}

// What an attempt of the class is expected to take on the device; a type that never ran there is taken for long.
double Scheduler::expected_us(const Device& device, const Class& task_class) const {
  const RunEstimate* estimate = device.estimate(catalog_.type(task_class.type).serial);
  if (estimate == nullptr) return static_cast<double>(config_.ahead_work.count());
  return std::max(1.0, estimate->mean_us);
}

DeviceIndex Scheduler::choose_device(ClassIndex class_place, Room room, DeviceIndex except) {
  const Class& task_class = catalog_.task_class(class_place);
  const Type& type = catalog_.type(task_class.type);
  // Resources are free on some devices only, so for those all must be asked.
  const bool all = devices_.size() <= kCompareAllMax || !task_class.demands.resources.empty() || except;
  std::uint32_t left = all ? UINT32_MAX : kSampleSize;
  DeviceIndex best;
  double best_score = std::numeric_limits<double>::infinity();

  const auto consider = [&](DeviceIndex place) {
    const Device& device = devices_[place];
    if (place == except || !devices_.fits(device, task_class)) return;
    const RunEstimate* estimate = device.estimate(type.serial);
    if (room == Room::Ahead && (estimate == nullptr || !task_class.demands.resources.empty())) return;
    const bool warm = estimate != nullptr && latest_ - estimate->last_used < kWarmFor;
    const double run = estimate != nullptr ? estimate->mean_us : type.mean_us;
    const double queue = static_cast<double>(device.held + 1) / device.slots();
    const double score = std::max(run, 1.0) * queue * (warm ? 1.0 : kColdFactor);
    if (score < best_score) {
      best_score = score;
      best = place;
    }
  };
  const auto start = static_cast<std::uint32_t>(rng_.below(catalog_.profiles_last() + 1));
  task_class.profiles.for_each_common(devices_.profiles_with(room), start, [&](std::uint32_t i) {
    const ProfileLoad& load = devices_.load(ProfileIndex{i});
    const std::vector<DeviceIndex>& list = room == Room::Free ? load.free : load.ahead;
    const std::size_t offset = all ? 0 : rng_.below(list.size());
    for (std::size_t n = 0; n < list.size() && left > 0; ++n, --left) {
      consider(list[offset + n < list.size() ? offset + n : offset + n - list.size()]);
    }
    return left > 0;
  });
  return best;
}

// A device that holds something less urgent which it has not started: it would start this one first.
DeviceIndex Scheduler::choose_overtaken(ClassIndex task_class, Priority priority) const {
  const std::vector<DeviceIndex>& surplus = devices_.surplus();
  std::uint32_t looked_at = 0;
  for (const DeviceIndex place : surplus) {
    const Device& device = devices_[place];
    if (++looked_at > kSurplusLookedAtMax) break;
    if (!catalog_.task_class(task_class).profiles.test(device.profile.value)) continue;
    if (device.held < config_.held_max && device.held_at_least(priority) < device.slots()) return place;
  }
  return {};
}

// The device's next task cannot be sent ahead, and what was sent ahead before would be started in front of it: that
// comes back, so that the next free slot is for this one.
void Scheduler::recall_less_urgent(DeviceIndex place, Priority than, Effects& out) {
  Device& device = devices_[place];
  if (device.held <= device.slots() || device.recalled_below >= than || device.held_at_least(than) == device.held)
    return;
  device.recalled_below = than;
  for (AttemptIndex at = device.last; at; at = attempts_[at].previous) {
    Attempt& attempt = attempts_[at];
    if (attempt.recalled || attempt.started || !attempt.current || attempt.priority >= than) continue;
    attempt.recalled = true;
    out.recalls.push_back({place, attempt.id});
    ++counters_.recalled_for_urgent;
  }
}

// A class that found no device: as many as it has tasks for make room.
void Scheduler::recall_for_urgent(ClassIndex task_class, Now now, Effects& out) {
  std::uint64_t wanted = queue_.waiting(task_class);
  std::uint32_t looked_at = 0;
  for (const DeviceIndex place : devices_.surplus()) {
    if (wanted == 0 || ++looked_at > kSurplusLookedAtMax) return;
    const Device& device = devices_[place];
    if (!catalog_.task_class(task_class).profiles.test(device.profile.value)) continue;
    if (!devices_.fits(device, catalog_.task_class(task_class))) continue;
    if (const ReadyQueue::Next next = next_for(place, now)) recall_less_urgent(place, next.priority, out);
    wanted -= std::min<std::uint64_t>(wanted, device.slots());
  }
}

void Scheduler::assign(ReadyQueue::Next next, DeviceIndex device_place, Now now, Effects& out) {
  const TaskIndex task_place = next.task;
  Task& task = tasks_[task_place];
  Device& device = devices_[device_place];
  const Spec& spec = catalog_.spec(task.spec);
  const Class& task_class = catalog_.task_class(spec.task_class);

  const AttemptIndex place = attempts_.add(make_attempt(epoch_, ++attempt_counter_));
  Attempt& attempt = attempts_[place];
  const TaskExtra* extra = tasks_.find_extra(task_place);
  attempt.task = task_place;
  attempt.number = extra == nullptr ? 1 : extra->failures + extra->lost + 1;
  attempt.priority = next.priority;
  attempt.expected_us = static_cast<std::uint32_t>(expected_us(device, task_class));
  attempt.assigned_at = now.monotonic;
  attempt.assigned_wall = now.wall;
  attempt.to_free_slot = device.held < device.slots();
  put_on(place, device_place);

  waiting_bytes_ -= task.payload.size();
  tasks_.set_status(task_place, TaskStatus::Assigned);
  ++counters_.scheduled;
  if (next.priority > spec.spec.priority) ++counters_.aged_past;
  if (extra != nullptr && extra->avoid && extra->avoid != device_place) ++counters_.avoided;
  out.assigns.push_back(place);
  if (config_.durable) out.records.push_back({Record::Kind::Dispatched, task_place, task.id, 0});
}

// Enters the attempt of its task into the device's books.
void Scheduler::put_on(AttemptIndex place, DeviceIndex device_place) {
  Attempt& attempt = attempts_[place];
  Device& device = devices_[device_place];
  attempt.device = device_place;
  attempt.previous = device.last;
  (device.last ? attempts_[device.last].next : device.first) = place;
  device.last = place;
  ++device.held;
  ++device.held_by_priority[static_cast<std::size_t>(attempt.priority)];
  if (attempt.priority < device.recalled_below) device.recalled_below = attempt.priority;
  device.expected_us += attempt.expected_us;
  devices_.reserve(device_place, catalog_.class_of(tasks_[attempt.task].spec));
  tasks_.set_attempt(attempt.task, place);
  ++device.tasks;
}

// Takes the attempt off its device's books. Returns the next one of the device.
AttemptIndex Scheduler::release(AttemptIndex place, Effects& out) {
  const Attempt attempt = attempts_[place];
  Device& device = devices_[attempt.device];
  (attempt.previous ? attempts_[attempt.previous].next : device.first) = attempt.next;
  (attempt.next ? attempts_[attempt.next].previous : device.last) = attempt.previous;
  --device.held;
  --device.held_by_priority[static_cast<std::size_t>(attempt.priority)];
  device.expected_us -= attempt.expected_us;
  devices_.release(attempt.device, catalog_.class_of(tasks_[attempt.task].spec));
  tasks_.set_attempt(attempt.task, {});
  if (attempt.stored != 0) out.released.push_back(attempt.stored);
  if (tasks_.find_ending(attempt.task) == nullptr) --device.tasks;  // an ending counts it from now on, if it comes
  attempts_.remove(place);
  devices_.update_room(attempt.device, config_.ahead_work, config_.held_max);
  changed(attempt.device);
  return attempt.next;
}

void Scheduler::recall_for_idle(Now now, Effects& out) {
  recall_due_.reset();
  if (devices_.surplus().empty() || !devices_.profiles_with(Room::Free).any()) return;
  std::uint32_t looked_at = 0;
  for (const DeviceIndex place : devices_.surplus()) {
    if (++looked_at > kSurplusLookedAtMax) break;
    const Device& device = devices_[place];
    // Half of what it holds too much: the other half it will have done by the time the first come back.
    std::uint32_t wanted = (device.held - device.slots() + 1) / 2;
    std::uint32_t seen = 0;
    for (AttemptIndex at = device.last; at && wanted > 0 && ++seen <= kRecallLookedAtMax; at = attempts_[at].previous) {
      Attempt& attempt = attempts_[at];
      if (attempt.recalled || attempt.started || !attempt.current || attempt.assign == kNotSent) continue;
      if (!catalog_.class_of(tasks_[attempt.task].spec).profiles.intersects(devices_.profiles_with(Room::Free)))
        continue;
      const TimePoint due = attempt.assigned_at + config_.recall_after;
      if (due > now.monotonic) {
        recall_due_ = recall_due_ ? std::min(*recall_due_, due) : due;
        continue;
      }
      attempt.recalled = true;
      out.recalls.push_back({place, attempt.id});
      --wanted;
    }
  }
}

void Scheduler::returned(DeviceIndex device, std::span<const AttemptId> attempts, Now now, Effects& out) {
  heard(device, now);
  for (const AttemptId id : attempts) {
    const AttemptIndex place = attempts_.find(id);
    if (!owns(device, place)) {
      has_ended(device, id);
      continue;
    }
    ++counters_.recalled;
    give_up(place, Lost::HandedBack, now, out);
  }
}

void Scheduler::unsent(DeviceIndex device, AttemptId id, Now now, Effects& out) {
  if (const AttemptIndex place = attempts_.find(id); owns(device, place)) give_up(place, Lost::HandedBack, now, out);
}

}  // namespace retire::core
