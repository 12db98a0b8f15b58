// What a task is, apart from where it stands: plain values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"

namespace retire {

// Bytes rather than text: msgpack that this layer does not look into. A view; its owner is named where it is used.
using ByteView = std::string_view;

enum class Priority : std::uint8_t { Low = 1, Normal = 2, High = 3, Urgent = 4 };
constexpr int kPriorityCount = 4;

enum class TaskStatus : std::uint8_t {
  Pending = 0,
  Queued = 1,
  Assigned = 2,
  Running = 3,
  Success = 4,
  Failed = 5,
  Cancelled = 6,
  Timeout = 7
};
constexpr int kTaskStatusCount = 8;
constexpr bool is_final(TaskStatus status) { return status >= TaskStatus::Success; }

// How one attempt ended.
enum class Outcome : std::uint8_t {
  Success = 1,
  Failed = 2,
  FailedPermanently = 3,  // no attempt can do better
  Timeout = 4,
  Cancelled = 5,
  Crashed = 6,    // the handler's process died
  HandedBack = 7  // never started
};

std::string_view to_string(Priority priority);
std::string_view to_string(TaskStatus status);
std::string_view to_string(Outcome outcome);
std::optional<Priority> parse_priority(std::string_view name);
std::optional<TaskStatus> parse_status(std::string_view name);

enum class Isolation : std::uint8_t { Any = 0, Off = 1, Basic = 2, Strict = 3 };
std::string_view to_string(Isolation isolation);  // "" for Any
std::optional<Isolation> parse_isolation(std::string_view name);

// Amounts by name, sorted by name, each name once.
using Resources = std::vector<std::pair<std::string, double>>;

// What a device must have, and how an attempt is to be run. The defaults ask for nothing.
struct Requirements {
  std::uint32_t min_cpu_cores = 0;
  double min_memory_gb = 0;  // 1 GB is 2^30 bytes
  double min_storage_gb = 0;
  bool gpu_required = false;
  bool internet_required = false;
  std::string required_platform;           // lower case; empty: any
  std::string required_role;               // empty: any
  std::vector<std::string> required_tags;  // sorted, each once
  Resources resources;                     // reserved while it runs
  bool at_most_once = false;
  Isolation min_isolation = Isolation::Any;
  double timeout_seconds = 300;
  std::uint32_t max_retries = 3;

  // Further attempts that are allowed: none for what may run only once.
  std::uint32_t retries() const { return at_most_once ? 0 : max_retries; }

  friend bool operator==(const Requirements&, const Requirements&) = default;
};

// What many tasks have in common.
struct TaskSpec {
  std::string type;
  Priority priority = Priority::Normal;
  Requirements requirements;
  std::string group;

  friend bool operator==(const TaskSpec&, const TaskSpec&) = default;
};

enum class LogLevel : std::uint8_t { Debug = 1, Info = 2, Warning = 3, Error = 4 };
std::string_view to_string(LogLevel level);

struct LogLine {
  LogLevel level = LogLevel::Info;
  std::uint64_t us_since_start = 0;
  std::string text;
};

// Whether a name is allowed: [a-z0-9_.-]{1,64} and [A-Za-z0-9_.:-]{1,128}.
bool is_task_type(std::string_view name);
bool is_device_id(std::string_view name);

// Puts a requirement into the one form in which equal ones compare equal: platform in lower case, tags and resources
// sorted. Errors: Invalid, naming the key and the value.
Status normalize(Requirements& requirements);
Status validate(const TaskSpec& spec);

}  // namespace retire
