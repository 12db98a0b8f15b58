// Bad devices and bad tasks told apart: a device is left out for a while when it fails, time after time, what other
// devices complete. A task that fails everywhere says nothing about any of them.
#include <algorithm>

#include "broker/core/scheduler.hpp"

namespace retire::core {
namespace {

// So many successes in a row make a device as good as new: its next quarantine is a first one again.
constexpr std::uint32_t kSoundAfter = 20;

}  // namespace

void Scheduler::note_success(TaskIndex task, DeviceIndex place, Now now) {
  Device& device = devices_[place];
  device.failures_in_a_row = 0;
  if (++device.successes_in_a_row >= kSoundAfter) device.quarantines = 0;
  Type& type = catalog_.type(catalog_.class_of(tasks_[task].spec).type);
  if (type.succeeded_on != place) {
    type.succeeded_elsewhere_at = type.succeeded_on ? type.succeeded_at : TimePoint{};
    type.succeeded_on = place;
  }
  type.succeeded_at = now.monotonic;
}

void Scheduler::note_failure(TaskIndex task, DeviceIndex place, Now now, Effects& out) {
  Device& device = devices_[place];
  device.successes_in_a_row = 0;
  if (device.failures_in_a_row++ == 0) device.failing_since = now.monotonic;
  if (device.quarantined || device.failures_in_a_row < config_.quarantine_failures) return;

  // Whether another device has completed this type since this one began to fail.
  const Type& type = catalog_.type(catalog_.class_of(tasks_[task].spec).type);
  const TimePoint elsewhere = type.succeeded_on == place ? type.succeeded_elsewhere_at : type.succeeded_at;
  if (elsewhere == TimePoint{} || elsewhere < device.failing_since) return;

  const std::uint32_t doublings = std::min(device.quarantines++, 20u);
  const Duration lasts = std::min(config_.quarantine_first * (std::int64_t{1} << doublings), config_.quarantine_max);
  device.quarantined_until = now.monotonic + lasts;
  devices_.set_flag(place, &Device::quarantined, true);
  missed(place);
  quarantines_.push({device.quarantined_until, place.value, 0});
  ++counters_.quarantined;
  recall_all(place, "", now, out);
}

void Scheduler::release_quarantine(DeviceIndex place, Now /*now*/) {
  Device& device = devices_[place];
  devices_.set_flag(place, &Device::quarantined, false);
  ++counters_.released;
  // On probation: it is believed less than a device that never failed.
  device.failures_in_a_row = config_.quarantine_failures - std::min(config_.quarantine_failures, 2u);
  devices_.update_room(place, config_.ahead_work, config_.held_max);
  changed(place);
}

}  // namespace retire::core
