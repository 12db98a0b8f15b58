// Devices that join, speak, fall silent, come back and leave.
#include <algorithm>

#include "broker/core/scheduler.hpp"

namespace retire::core {
namespace {

constexpr std::size_t kUnknownStoppedMax = 256;  // of one heartbeat

// Names the devices that were lost with the task, and how its process died where a device lived to tell.
std::string poison_message(const std::vector<AttemptError>& errors) {
  std::string lost;
  std::string died;
  for (const AttemptError& error : errors) {
    if (error.lost) {
      lost += (lost.empty() ? "" : ", ") + error.device_id;
    } else if (error.outcome == Outcome::Crashed) {
      died += (died.empty() ? "" : ", ") + error.device_id + ": " + error.message.substr(0, error.message.find('\n'));
    }
  }
  std::string out = "set aside: its devices were lost while they ran it (" + lost + ")";
  if (!died.empty()) out += "; its process died (" + died + ")";
  return out + "; task retry brings it back";
}

}  // namespace

void Scheduler::heard(DeviceIndex place, Now now) {
  Device& device = devices_[place];
  device.heard_at = now.monotonic;
  device.heard_wall = now.wall;
  // One that was away has a timer for the end of its lease, which may be later than its next silence.
  if (!device.connected || device.silence_due == TimePoint{})
    time_silence(place, now.monotonic + config_.offline_after);
  if (!device.connected) {
    devices_.set_connected(place, true);
    devices_.update_room(place, config_.ahead_work, config_.held_max);
    changed(place);
  }
}

void Scheduler::time_silence(DeviceIndex place, TimePoint due) {
  devices_[place].silence_due = due;
  silences_.push({due, place.value, 0});
}

DeviceIndex Scheduler::join(const Capabilities& capabilities, const InstanceId& instance,
                            std::span<const AttemptId> held, bool draining, Now now, std::vector<AttemptId>& abandon,
                            Effects& out) {
  DeviceIndex place = devices_.find(capabilities.device_id);
  if (!place) {
    expire_devices(out);
    place = devices_.add(capabilities.device_id);
  }
  Device& device = devices_[place];
  const bool same_process = device.instance == instance;
  device.instance = instance;
  device.heartbeats = 1;
  device.abandoned.clear();
  device.recalled_below = Priority::Low;

  std::vector<AttemptIndex> kept;
  for (const AttemptId id : held) {
    const AttemptIndex attempt = attempts_.find(id);
    if (owns(place, attempt)) {
      attempts_[attempt].confirmed = device.heartbeats;
      attempts_[attempt].assign = 0;
      attempts_[attempt].recalled = false;
      if (attempts_[attempt].id.value() >> kAttemptCounterBits != epoch_) ++counters_.readopted;
      if (!attempts_[attempt].current) out.stops.push_back({place, id});
    } else {
      abandon.push_back(id);
      device.abandoned.push_back(id);
    }
  }
  std::uint32_t order = 0;
  for (AttemptIndex at = device.first; at;) {
    const Attempt& attempt = attempts_[at];
    const AttemptIndex next = attempt.next;
    if (attempt.confirmed != device.heartbeats) {
      // Of a former run of main it is not known whether it ever arrived.
      const bool former = attempt.id.value() >> kAttemptCounterBits != epoch_;
      const bool ran = attempt.started || (!former && order < device.slots());
      Lost how = ran ? Lost::WithDevice : Lost::OnTheWay;
      if (attempt.assign == kNotSent) {
        how = Lost::HandedBack;
      } else if (same_process) {
        // It lives and does not hold it. If this hello was late, the attempt may have arrived since.
        device.abandoned.push_back(attempt.id);
        how = Lost::OnTheWay;
      }
      give_up(at, how, now, out);
    }
    ++order;
    at = next;
  }
  const bool reserve_anew = !device.profile && device.held > 0;  // main did not know what it offers
  if (!device.profile || device.capabilities != capabilities) out.devices.push_back(place);
  devices_.set_capabilities(place, capabilities);
  for (AttemptIndex at = device.first; at && reserve_anew; at = attempts_[at].next) {
    devices_.reserve(place, catalog_.class_of(tasks_[attempts_[at].task].spec));
  }
  devices_.set_flag(place, &Device::draining, draining);
  missed(place);
  heard(place, now);
  devices_.update_room(place, config_.ahead_work, config_.held_max);
  changed(place);
  return place;
}

void Scheduler::update(DeviceIndex place, const Capabilities& capabilities, Now now, Effects& out) {
  heard(place, now);
  if (devices_[place].capabilities != capabilities) out.devices.push_back(place);
  devices_.set_capabilities(place, capabilities);
  devices_.update_room(place, config_.ahead_work, config_.held_max);
  changed(place);
}

void Scheduler::heartbeat(DeviceIndex place, const Heartbeat& heartbeat, Now now, Effects& out) {
  heard(place, now);
  Device& device = devices_[place];
  device.system_load = heartbeat.load;
  const std::uint64_t number = ++device.heartbeats;
  device.recalled_below = Priority::Low;  // recalls may have been lost, and are given again
  std::size_t unknown = 0;
  for (const AttemptId id : heartbeat.held) {
    const AttemptIndex at = attempts_.find(id);
    if (!owns(place, at)) {
      // Given up, and it does not know: it may be running for nobody. Or its result was just taken and the device has
      // not been told yet; then this does no harm.
      if (unknown++ < kUnknownStoppedMax) out.stops.push_back({place, id});
      continue;
    }
    Attempt& attempt = attempts_[at];
    attempt.confirmed = number;
    if (!attempt.current) out.stops.push_back({place, id});  // the order to stop was lost
    attempt.recalled = false;                                // and so may have been a recall
  }
  if (!device.abandoned.empty()) {
    std::vector<AttemptId> held(heartbeat.held);
    std::sort(held.begin(), held.end());
    std::erase_if(device.abandoned, [&](AttemptId id) { return !std::binary_search(held.begin(), held.end(), id); });
    if (device.abandoned.empty()) changed(place);
  }
  for (AttemptIndex at = device.first; at;) {
    const Attempt& attempt = attempts_[at];
    const AttemptIndex next = attempt.next;
    // What it has seen and does not hold was lost on the way; and so was what has been on the way for that long.
    const bool arrived = attempt.assign <= heartbeat.seen;
    const bool overdue = attempt.assign != kNotSent && now.monotonic - attempt.assigned_at > config_.offline_after;
    if (attempt.confirmed != number && (arrived || overdue)) give_up(at, Lost::OnTheWay, now, out);
    at = next;
  }
  set_pause(place, heartbeat.paused, now, out);
}

void Scheduler::started(DeviceIndex device, std::span<const AttemptId> attempts, Now now, Effects& /*out*/) {
  heard(device, now);
  for (const AttemptId id : attempts) {
    const AttemptIndex place = attempts_.find(id);
    if (!owns(device, place) || attempts_[place].started) continue;
    Attempt& attempt = attempts_[place];
    attempt.started = true;
    attempt.started_wall = now.wall;
    if (attempt.current) tasks_.set_status(attempt.task, TaskStatus::Running);
  }
}

void Scheduler::progress(DeviceIndex device, const ProgressItem& item, std::span<const LogLine> lines, Now now) {
  heard(device, now);
  const AttemptIndex place = attempts_.find(item.attempt);
  if (!owns(device, place) || !attempts_[place].current) return;
  const Attempt& attempt = attempts_[place];
  if (!live_.tell(attempt.task, attempt.number, item, lines, now.wall)) ++counters_.checkpoints_refused;
}

// The device takes no work any more: a task that waited for it rather than for the one it failed on waits for nothing.
void Scheduler::missed(DeviceIndex place) {
  if (!devices_[place].profile) return;
  const Bits& classes = catalog_.profile(devices_[place].profile).classes;
  classes.for_each_common(classes, 0, [&](std::uint32_t i) {
    if (queue_.waiting(ClassIndex{i}) > 0) refresh(ClassIndex{i});
    return true;
  });
}

void Scheduler::has_ended(DeviceIndex place, AttemptId abandoned) {
  std::vector<AttemptId>& all = devices_[place].abandoned;
  if (std::erase(all, abandoned) > 0 && all.empty()) changed(place);
}

void Scheduler::recall_all(DeviceIndex place, std::string_view type, Now now, Effects& out) {
  for (AttemptIndex next = devices_[place].first; next;) {
    const AttemptIndex at = next;
    Attempt& attempt = attempts_[at];
    next = attempt.next;
    if (attempt.recalled || attempt.started || !attempt.current) continue;
    if (!type.empty() && catalog_.type_of(tasks_[attempt.task].spec).name != type) continue;
    if (attempt.assign == kNotSent) {  // its payload is still fetched: nobody need be asked
      give_up(at, Lost::HandedBack, now, out);
      continue;
    }
    attempt.recalled = true;
    out.recalls.push_back({place, attempt.id});
  }
}

void Scheduler::drain(DeviceIndex place, Now now, Effects& out) {
  heard(place, now);
  devices_.set_flag(place, &Device::draining, true);
  missed(place);
  recall_all(place, "", now, out);
}

// What is on its way there is handed back by the device itself; what it has not begun is recalled, again with each
// heartbeat, for a recall may be lost and an attempt may return to the device's queue when its host dies.
void Scheduler::set_pause(DeviceIndex place, std::string_view why, Now now, Effects& out) {
  Device& device = devices_[place];
  heard(place, now);
  device.pause_reason = why;
  const bool paused = !why.empty();
  const bool news = device.paused != paused;
  devices_.set_flag(place, &Device::paused, paused);
  if (paused) {
    if (news) missed(place);
    recall_all(place, "", now, out);
  } else if (news) {
    devices_.update_room(place, config_.ahead_work, config_.held_max);
    changed(place);
  }
}

void Scheduler::drain_device(DeviceIndex place, Now now, Effects& out) {
  devices_.set_flag(place, &Device::drained, true);
  devices_[place].drain_decided = true;
  out.devices.push_back(place);
  missed(place);
  recall_all(place, "", now, out);
}

void Scheduler::resume_device(DeviceIndex place, Now now, Effects& out) {
  devices_.set_flag(place, &Device::drained, false);
  devices_[place].drain_decided = true;
  out.devices.push_back(place);
  if (devices_[place].quarantined) release_quarantine(place, now);
  devices_.update_room(place, config_.ahead_work, config_.held_max);
  changed(place);
}

Status Scheduler::remove_device(DeviceIndex place, Now now, Effects& out) {
  Device& device = devices_[place];
  const std::string& name = device.capabilities.device_id;
  if (device.connected) {
    return Error{ErrorCode::Conflict, "device " + name + " is connected; stop its worker first"};
  }
  give_up_all(place, Lost::WithDevice, now, out);
  out.removed.push_back(place);
  out.removed_names.push_back(devices_[place].capabilities.device_id);
  devices_.retire(place);
  return ok_status();
}

// Devices that are away for good would gather without end where workers take a new name at each start.
void Scheduler::expire_devices(Effects& out) {
  while (devices_.size() - devices_.online() > config_.offline_devices_max) {
    DeviceIndex oldest;
    devices_.for_each([&](DeviceIndex place, const Device& device) {
      if (device.connected || device.held > 0) return;
      if (!oldest || device.heard_at < devices_[oldest].heard_at) oldest = place;
    });
    if (!oldest) return;
    out.removed.push_back(oldest);
    out.removed_names.push_back(devices_[oldest].capabilities.device_id);
    devices_.retire(oldest);
  }
}

void Scheduler::left(DeviceIndex place, Now now, Effects& out) {
  give_up_all(place, Lost::HandedBack, now, out);
  devices_[place].heard_wall = now.wall;
  devices_.set_connected(place, false);
  missed(place);
}

void Scheduler::disconnected(DeviceIndex place) {
  devices_.set_connected(place, false);
  missed(place);
}

void Scheduler::give_up_all(DeviceIndex place, Lost how, Now now, Effects& out) {
  std::uint32_t order = 0;
  for (AttemptIndex at = devices_[place].first; at;) {
    const AttemptIndex next = attempts_[at].next;
    // Only what was running can have taken the device down.
    const bool ran = attempts_[at].started || order++ < devices_[place].slots();
    give_up(at, how == Lost::WithDevice && !ran ? Lost::OnTheWay : how, now, out);
    at = next;
  }
}

void Scheduler::give_up(AttemptIndex place, Lost how, Now now, Effects& out) {
  const Attempt attempt = attempts_[place];
  const TaskIndex task = attempt.task;
  release(place, out);
  if (!attempt.current) return;
  if (attempt.assign == kNotSent) how = Lost::HandedBack;
  if (how == Lost::HandedBack) {
    queue_again(task, out);
    // So that a restart does not take it for one that was dispatched and lost.
    if (config_.durable && attempt.stored != 0 && spec(task).requirements.at_most_once) {
      out.records.push_back({Record::Kind::Retried, task, tasks_[task].id, 0});
    }
    return;
  }
  ++counters_.attempts_lost;
  if (how == Lost::WithDevice && !spec(task).requirements.resources.empty()) ++counters_.resources_freed_by_loss;
  const bool at_most_once = spec(task).requirements.at_most_once;
  if (how == Lost::WithDevice) {
    ++devices_[attempt.device].lost;
    note_error(task, attempt, Outcome::Crashed, true,
               "device " + devices_[attempt.device].capabilities.device_id + " was lost with it", now);
    ++tasks_.extra(task).lost;
  }
  FinishedItem item;
  if (at_most_once) {
    ++counters_.lost_once;
    const std::string message = "device " + devices_[attempt.device].capabilities.device_id +
                                " was lost with it, and it may be dispatched only once";
    item.error_message = message;
    end(task, TaskStatus::Failed, "device_lost", &attempt, &item, now, out);
  } else if (how == Lost::WithDevice && tasks_.extra(task).lost >= config_.lost_max) {
    ++counters_.poisoned;
    const std::string message = poison_message(tasks_.extra(task).errors);
    item.error_message = message;
    end(task, TaskStatus::Failed, "poison", &attempt, &item, now, out);
  } else {
    queue_again(task, out);
    if (how == Lost::WithDevice) out.records.push_back({Record::Kind::Retried, task, tasks_[task].id, 0});
  }
}

void Scheduler::check_silence(DeviceIndex place, Now now, Effects& out) {
  Device& device = devices_[place];
  device.silence_due = {};
  const Duration silence = now.monotonic - device.heard_at;
  if (silence < config_.offline_after) {
    if (device.connected || device.held > 0) time_silence(place, device.heard_at + config_.offline_after);
    return;
  }
  devices_.set_connected(place, false);
  missed(place);
  for (AttemptIndex at = device.first; at;) {
    const AttemptIndex next = attempts_[at].next;
    if (attempts_[at].assign == kNotSent) give_up(at, Lost::HandedBack, now, out);  // its payload is still fetched
    at = next;
  }
  if (silence < config_.lease) {
    time_silence(place, device.heard_at + config_.lease);
    return;
  }
  give_up_all(place, Lost::WithDevice, now, out);
  ++counters_.leases_expired;
  out.lost.push_back(place);
}

}  // namespace retire::core
