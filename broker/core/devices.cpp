#include "broker/core/devices.hpp"

#include <algorithm>

namespace retire::core {
namespace {

// A moving average that follows fast at first and then slowly: weight 1/n up to 1/16.
constexpr std::uint32_t kEstimateWeightMax = 16;
// Fractions such as 0.1 do not add up exactly; a task must not wait for the rounding.
constexpr double kResourceSlack = 1e-9;
constexpr std::size_t kEstimatesMax = 256;  // types a device is remembered for; the longest unused goes first
// The round trip: the least of late. Each longer one raises it by a tenth at most, so that the start of a host or a
// busy moment does not count, and a slower network does in time.
constexpr double kRoundTripRise = 1.1;
constexpr double kRoundTripMaxUs = 250'000;
constexpr double kWorkInRoundTrips = 4;  // at hand, at least
constexpr double kBridgeInRoundTrips = 2;
// Idle for a twentieth of the time: longer attempts are not worth the uncertainty of sending them ahead.
constexpr double kBridgedMaxInRoundTrips = 20;

}  // namespace

std::uint32_t Device::held_at_least(Priority priority) const {
  std::uint32_t count = 0;
  for (auto p = static_cast<std::size_t>(priority); p < held_by_priority.size(); ++p) count += held_by_priority[p];
  return count;
}

const RunEstimate* Device::estimate(std::uint64_t type) const {
  for (const RunEstimate& estimate : estimates) {
    if (estimate.type == type) return &estimate;
  }
  return nullptr;
}

void Device::learn(std::uint64_t type, Duration run, TimePoint now) {
  auto entry = std::find_if(estimates.begin(), estimates.end(), [&](const auto& e) { return e.type == type; });
  if (entry == estimates.end()) {
    if (estimates.size() >= kEstimatesMax) {
      estimates.erase(std::min_element(estimates.begin(), estimates.end(),
                                       [](const auto& a, const auto& b) { return a.last_used < b.last_used; }));
    }
    estimates.push_back({type, 0, 0, now});
    entry = estimates.end() - 1;
  }
  entry->count = std::min(entry->count + 1, kEstimateWeightMax);
  entry->mean_us += (static_cast<double>(run.count()) - entry->mean_us) / entry->count;
  entry->last_used = now;
}

void Device::learn_round_trip(Duration beside_run) {
  const double sample = std::clamp(static_cast<double>(beside_run.count()), 0.0, kRoundTripMaxUs);
  if (sample <= 0) return;  // it says that it ran longer than it was there
  round_trip_us = round_trip_us <= 0 ? sample : std::min(sample, round_trip_us * kRoundTripRise);
}

double Device::work_max_us(Duration ahead_work) const {
  return std::max(static_cast<double>(ahead_work.count()), kWorkInRoundTrips * round_trip_us) * slots();
}

bool Device::bridges(double one_us) const {
  if (one_us > kBridgedMaxInRoundTrips * round_trip_us) return false;
  const double ahead = held > slots() ? static_cast<double>(expected_us) * (held - slots()) / held : 0;
  return ahead < kBridgeInRoundTrips * round_trip_us * slots();
}

DeviceIndex DeviceTable::find(std::string_view device_id) const {
  const auto at = by_name_.find(device_id);
  return at == by_name_.end() ? DeviceIndex{} : at->second;
}

DeviceIndex DeviceTable::add(const std::string& device_id) {
  const DeviceIndex place = devices_.add();
  devices_[place].known = true;
  devices_[place].capabilities.device_id = device_id;
  by_name_.emplace(device_id, place);
  return place;
}

DeviceIndex DeviceTable::add_removed(const std::string& device_id) {
  const DeviceIndex place = devices_.add();
  devices_[place].known = true;
  devices_[place].retired = true;
  devices_[place].capabilities.device_id = device_id;
  return place;
}

void DeviceTable::retire(DeviceIndex place) {
  Device& device = devices_[place];
  RC_ASSERT(device.held == 0 && !device.retired);
  set_connected(place, false);
  leave_room(place);
  if (device.profile) catalog_.release_profile(device.profile);
  device.profile = {};
  by_name_.erase(device.capabilities.device_id);
  device.retired = true;
  free_if_unused(place);
}

void DeviceTable::free_if_unused(DeviceIndex place) {
  if (devices_[place].retired && devices_[place].tasks == 0) devices_.remove(place);
}

ProfileLoad& DeviceTable::load_of(ProfileIndex profile) {
  if (profile.value >= loads_.size()) loads_.resize(profile.value + 1);
  return loads_[profile.value];
}

const ProfileLoad& DeviceTable::load(ProfileIndex profile) const {
  static const ProfileLoad kNone;
  return profile.value < loads_.size() ? loads_[profile.value] : kNone;
}

void DeviceTable::count(const Device& device, int by) {
  if (!device.connected) return;
  online_ += static_cast<std::size_t>(by);
  if (!device.profile) return;
  ProfileLoad& load = load_of(device.profile);
  load.connected += static_cast<std::uint32_t>(by);
  if (device.paused) load.paused += static_cast<std::uint32_t>(by);
  if (device.available()) load.available += static_cast<std::uint32_t>(by);
}

void DeviceTable::set_capabilities(DeviceIndex place, const Capabilities& capabilities) {
  Device& device = devices_[place];
  leave_room(place);
  count(device, -1);
  const ProfileIndex old = device.profile;
  const Resources old_totals = old ? catalog_.profile(old).capabilities.resources : Resources{};
  device.capabilities = capabilities;
  device.slot_count = capabilities.slots;
  device.profile = catalog_.intern_profile(capabilities);
  const Resources& totals = catalog_.profile(device.profile).capabilities.resources;
  std::vector<double> free;
  for (const auto& [name, total] : totals) {
    double taken = 0;
    for (std::size_t i = 0; i < old_totals.size(); ++i) {
      if (old_totals[i].first == name) taken = old_totals[i].second - device.free_resources[i];
    }
    free.push_back(total - taken);
  }
  device.free_resources = std::move(free);
  if (old) catalog_.release_profile(old);
  count(device, +1);
}

void DeviceTable::set_connected(DeviceIndex place, bool connected) {
  Device& device = devices_[place];
  if (device.connected == connected) return;
  count(device, -1);
  device.connected = connected;
  count(device, +1);
  if (!connected) leave_room(place);
}

void DeviceTable::set_flag(DeviceIndex place, bool Device::*flag, bool value) {
  Device& device = devices_[place];
  if (device.*flag == value) return;
  count(device, -1);
  device.*flag = value;
  count(device, +1);
  if (!device.available()) leave_room(place);
}

void DeviceTable::leave_room(DeviceIndex place) {
  Device& device = devices_[place];
  if (device.room != Room::None) {
    ProfileLoad& load = load_of(device.profile);
    std::vector<DeviceIndex>& list = device.room == Room::Free ? load.free : load.ahead;
    list[device.room_place] = list.back();
    devices_[list[device.room_place]].room_place = device.room_place;
    list.pop_back();
    if (list.empty()) (device.room == Room::Free ? with_free_ : with_ahead_).reset(device.profile.value);
    device.room = Room::None;
  }
  if (device.surplus_place != 0) {
    const std::uint32_t at = device.surplus_place - 1;
    surplus_[at] = surplus_.back();
    devices_[surplus_[at]].surplus_place = at + 1;
    surplus_.pop_back();
    device.surplus_place = 0;
  }
}

void DeviceTable::update_room(DeviceIndex place, Duration ahead_work, std::uint32_t held_max) {
  Device& device = devices_[place];
  Room room = Room::None;
  if (device.available()) {
    if (device.held < device.slots()) {
      room = Room::Free;
    } else if (device.held < held_max) {
      const auto expected = static_cast<double>(device.expected_us);
      if (expected < device.work_max_us(ahead_work) || device.bridges(expected / device.held)) room = Room::Ahead;
    }
  }
  const bool surplus = device.available() && device.held > device.slots();
  if (room == device.room && surplus == (device.surplus_place != 0)) return;
  leave_room(place);
  if (room != Room::None) {
    ProfileLoad& load = load_of(device.profile);
    std::vector<DeviceIndex>& list = room == Room::Free ? load.free : load.ahead;
    device.room_place = static_cast<std::uint32_t>(list.size());
    list.push_back(place);
    device.room = room;
    (room == Room::Free ? with_free_ : with_ahead_).set(device.profile.value);
  }
  if (surplus) {
    surplus_.push_back(place);
    device.surplus_place = static_cast<std::uint32_t>(surplus_.size());
  }
}

template <class Change>
void DeviceTable::change_resources(Device& device, const Class& task_class, Change change) {
  if (!device.profile) return;  // nobody knows yet what it has
  const Resources& totals = catalog_.profile(device.profile).capabilities.resources;
  for (const auto& [name, amount] : task_class.demands.resources) {
    for (std::size_t i = 0; i < totals.size(); ++i) {
      if (totals[i].first == name) change(device.free_resources[i], amount);
    }
  }
}

bool DeviceTable::fits(const Device& device, const Class& task_class) const {
  if (task_class.demands.resources.empty()) return true;
  if (!device.abandoned.empty()) return false;  // what is reserved for those is known to nobody any more
  bool fits = true;
  const Resources& totals = catalog_.profile(device.profile).capabilities.resources;
  for (const auto& [name, amount] : task_class.demands.resources) {
    for (std::size_t i = 0; i < totals.size(); ++i) {
      if (totals[i].first == name && device.free_resources[i] + kResourceSlack < amount) fits = false;
    }
  }
  return fits;
}

void DeviceTable::reserve(DeviceIndex device, const Class& task_class) {
  change_resources(devices_[device], task_class, [](double& free, double amount) { free -= amount; });
}

void DeviceTable::release(DeviceIndex device, const Class& task_class) {
  change_resources(devices_[device], task_class, [](double& free, double amount) { free += amount; });
}

}  // namespace retire::core
