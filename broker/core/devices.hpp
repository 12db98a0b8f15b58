// The devices main knows, connected or not, and which of them have room.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "broker/core/attempts.hpp"
#include "broker/core/catalog.hpp"
#include "broker/core/index.hpp"
#include "common/base/rng.hpp"
#include "common/base/time.hpp"
#include "common/model/capabilities.hpp"

namespace retire::core {

// How long attempts of one type take on one device: a moving average.
struct RunEstimate {
  std::uint64_t type = 0;  // Type::serial
  std::uint32_t count = 0;
  double mean_us = 0;
  TimePoint last_used{};
};

// What a device can take now.
enum class Room : std::uint8_t {
  None,
  Ahead,  // every slot is busy with short work: more may be sent ahead
  Free    // a slot is free
};

// What every attempt touches stands together, in few cache lines: there are thousands of devices.
struct alignas(kCacheLine) Device {
  ProfileIndex profile;
  std::uint32_t slot_count = Capabilities{}.slots;  // as its capabilities have it
  bool known = false;                               // whether this place is in use
  bool connected = false;                           // has a session, and was heard within offline_after
  bool draining = false;                            // by its own wish
  bool drained = false;                             // by an administrator's
  bool drain_decided = false;                       // in this run of main
  bool quarantined = false;
  bool paused = false;  // by its owner's rules: battery, hours, load; it says so itself
  Room room = Room::None;
  // Whatever it has not started and is less urgent than this was recalled; Low: nothing.
  Priority recalled_below = Priority::Low;
  std::uint32_t room_place = 0;     // in its profile's list for that room
  std::uint32_t surplus_place = 0;  // in the list of devices that hold more than they run, plus one
  std::uint32_t held = 0;           // attempts sent and not finished
  std::array<std::uint32_t, kPriorityCount + 1> held_by_priority{};
  AttemptIndex first;  // in the order of assignment
  AttemptIndex last;
  std::uint64_t expected_us = 0;  // the sum of theirs
  TimePoint heard_at{};
  WallTime heard_wall{};
  double round_trip_us = 0;   // what an attempt takes beside its run: network and start; 0: not known yet
  TimePoint silence_due{};    // of the timer for its silence; zero: none is running
  std::uint64_t assigns = 0;  // assign messages that were closed; over its sessions, as a hello may be repeated
  std::uint64_t tasks = 0;    // kept tasks that were assigned to it last
  std::uint64_t succeeded = 0;
  std::uint32_t failures_in_a_row = 0;
  std::uint32_t successes_in_a_row = 0;
  std::uint32_t quarantines = 0;  // since it last proved sound: the next one is longer
  std::vector<RunEstimate> estimates;
  // What it held when it said hello and main had given up, or gave up then: it may run for a moment, with what it
  // reserved.
  std::vector<AttemptId> abandoned;
  std::vector<double> free_resources;  // in the order of the profile's resources

  // Seldom looked at.
  Capabilities capabilities;
  InstanceId instance;
  std::string pause_reason;  // in its own words
  TimePoint quarantined_until{};
  TimePoint failing_since{};  // the first of its failures in a row
  bool retired = false;       // removed; kept only while finished tasks name it
  double system_load = 0;
  std::uint64_t heartbeats = 0;  // of this session
  std::uint64_t failed = 0;
  std::uint64_t lost = 0;

  std::uint32_t slots() const { return slot_count; }
  bool available() const { return connected && !draining && !drained && !quarantined && !paused; }
  std::uint32_t held_at_least(Priority priority) const;
  const RunEstimate* estimate(std::uint64_t type) const;
  void learn(std::uint64_t type, Duration run, TimePoint now);
  // Of an attempt that was sent to a free slot: the time until its end was heard, without its run.
  void learn_round_trip(Duration beside_run);
  // Expected work, in microseconds, that may be there with nothing left to begin before more is heard.
  double work_max_us(Duration ahead_work) const;
  // Whether a slot would be idle for a noticeable part of the time if it began its next attempt, of `expected_us`, only
  // after main has heard of the end of this one, and there is not enough at hand already to bridge that.
  bool bridges(double expected_us) const;
};

// Counts of a profile's devices, for the reason why a task waits.
struct ProfileLoad {
  std::uint32_t connected = 0;
  std::uint32_t paused = 0;  // of the connected ones
  std::uint32_t available = 0;
  std::vector<DeviceIndex> free;   // with Room::Free
  std::vector<DeviceIndex> ahead;  // with Room::Ahead
};

class DeviceTable {
 public:
  explicit DeviceTable(Catalog& catalog) : catalog_(catalog) {}

  DeviceIndex find(std::string_view device_id) const;
  DeviceIndex add(const std::string& device_id);
  // A place for one that was removed, and that a finished task still names: counted by the caller in `tasks`.
  DeviceIndex add_removed(const std::string& device_id);
  // Takes it out of the list; its place goes when no kept task names it. Precondition: holds no attempts.
  void retire(DeviceIndex device);
  void free_if_unused(DeviceIndex device);
  // Its attempts are about to change.
  void fetch(DeviceIndex device) const {
    const auto* lines = reinterpret_cast<const char*>(&devices_[device]);
    for (std::size_t at = 0; at < offsetof(Device, capabilities); at += kCacheLine) prefetch(lines + at);
  }
  Device& operator[](DeviceIndex device) { return devices_[device]; }
  const Device& operator[](DeviceIndex device) const { return devices_[device]; }
  std::size_t size() const { return by_name_.size(); }
  std::size_t online() const { return online_; }
  std::uint32_t last() const { return devices_.last(); }
  template <class Visit>
  void for_each(Visit visit) const {  // by name
    for (const auto& [name, place] : by_name_) visit(place, devices_[place]);
  }

  // Changes what it offers; resources that running attempts hold stay taken.
  void set_capabilities(DeviceIndex device, const Capabilities& capabilities);
  void set_connected(DeviceIndex device, bool connected);
  // Changes one of the flags that available() reads.
  void set_flag(DeviceIndex device, bool Device::*flag, bool value);

  // After any change of what it holds: puts it into the list that its room says.
  void update_room(DeviceIndex device, Duration ahead_work, std::uint32_t held_max);
  const Bits& profiles_with(Room room) const { return room == Room::Free ? with_free_ : with_ahead_; }
  const ProfileLoad& load(ProfileIndex profile) const;
  // Devices that hold more than they run, in no special but a reproducible order.
  const std::vector<DeviceIndex>& surplus() const { return surplus_; }

  bool fits(const Device& device, const Class& task_class) const;
  void reserve(DeviceIndex device, const Class& task_class);
  void release(DeviceIndex device, const Class& task_class);

 private:
  ProfileLoad& load_of(ProfileIndex profile);
  void leave_room(DeviceIndex device);
  void count(const Device& device, int by);
  template <class Change>
  void change_resources(Device& device, const Class& task_class, Change change);

  Catalog& catalog_;
  Slab<Device, DeviceIndex> devices_;
  std::map<std::string, DeviceIndex, std::less<>> by_name_;
  std::vector<ProfileLoad> loads_;  // by profile
  Bits with_free_;
  Bits with_ahead_;
  std::vector<DeviceIndex> surplus_;
  std::size_t online_ = 0;
};

}  // namespace retire::core
