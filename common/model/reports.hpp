// What main tells people about tasks, devices and itself.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/model/capabilities.hpp"
#include "common/model/task.hpp"

namespace retire {

// One entry of a task's error history: an attempt that did not succeed.
struct AttemptError {
  std::uint32_t attempt = 0;  // its number, from 1
  std::string device_id;
  Outcome outcome = Outcome::Failed;
  bool lost = false;  // the device went away with it; `outcome` says nothing
  std::string message;
  WallTime at{};
};

// A task as main sees it. Views live until the core's next step.
struct TaskReport {
  TaskId id;
  const TaskSpec* spec = nullptr;
  std::optional<ByteView> payload;  // nullopt: not asked for
  ByteView metadata;
  TaskStatus status = TaskStatus::Queued;
  std::string_view reason;
  WallTime created_at{};
  WallTime assigned_at{};
  WallTime started_at{};
  WallTime completed_at{};
  std::string_view device_id;
  std::uint32_t retry_count = 0;
  const std::vector<AttemptError>* error_history = nullptr;
  bool has_result = false;
  std::optional<ByteView> result_data;
  std::string_view error_message;
  std::string_view traceback;
  Duration run{};
  ByteView logs;
  std::string_view plugin{};  // what ran its last attempt; empty: not known
  bool has_progress = false;  // its current attempt has told how far it is
  std::optional<double> progress_fraction;
  std::string_view progress_text;
  WallTime progress_at{};
  ByteView checkpoint;  // what its next attempt is handed; empty: nothing
};

struct UnmetRequirement {
  std::string requirement;  // key of the requirement, "task_type", or a resource as "resources.NAME"
  std::string wanted;       // as JSON text
  std::string has;          // as JSON text
};

struct DeviceVerdict {
  std::string device_id;
  std::string verdict;  // runs_it, can_run, failed_there, busy, offline, draining, quarantined, no_handler, unmet
  std::vector<UnmetRequirement> unmet;
  std::string state_reason;  // what a paused device says
};

// The answer to "why does it wait?".
struct Explanation {
  std::optional<TaskId> id;
  TaskStatus status = TaskStatus::Queued;
  std::string reason;
  std::optional<std::uint64_t> position;  // 1: next in line among the tasks it competes with
  std::vector<DeviceVerdict> devices;
  std::string nearest;  // a sentence; empty: no near miss
};

struct DeviceReport {
  const Capabilities* capabilities = nullptr;
  std::string_view state;  // online, offline, draining, paused, quarantined
  std::string_view state_reason;
  std::uint32_t load = 0;  // slots in use
  std::uint32_t held = 0;  // attempts sent to it and not finished
  double system_load = 0;
  WallTime last_seen{};
  bool connected = false;
  std::uint64_t attempts_succeeded = 0;
  std::uint64_t attempts_failed = 0;
  std::uint64_t attempts_lost = 0;
};

struct ClusterStatistics {
  struct Device {
    std::uint32_t capacity = 0;
    std::uint32_t load = 0;
    const Capabilities* capabilities = nullptr;
  };
  std::uint64_t online_devices = 0;
  std::uint64_t total_devices = 0;
  std::uint64_t total_capacity = 0;
  std::uint64_t total_load = 0;
  std::uint64_t total_tasks = 0;
  std::array<std::uint64_t, kTaskStatusCount> by_status{};
  std::array<std::uint64_t, kPriorityCount + 1> by_priority{};  // by wire value; [0] is unused
  std::map<std::string, std::uint64_t, std::less<>> by_device;
  std::map<std::string, std::uint64_t, std::less<>> by_type;
  std::uint64_t tasks_scheduled = 0;
  std::uint64_t tasks_completed = 0;
  std::uint64_t tasks_failed = 0;
  std::uint64_t tasks_retried = 0;
  std::uint64_t attempts_lost = 0;   // on the way, or with their device
  std::uint64_t leases_expired = 0;  // devices that were silent for so long that their attempts went to others
  std::uint64_t results_stale = 0;   // late ones, of attempts that were given up: refused
  double uptime_seconds = 0;
  std::map<std::string, Device, std::less<>> devices;
};

}  // namespace retire
