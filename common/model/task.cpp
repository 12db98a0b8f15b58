#include "common/model/task.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "common/model/limits.hpp"

namespace retire {
namespace {

constexpr std::array<std::string_view, 5> kPriorityNames = {"", "low", "normal", "high", "urgent"};
constexpr std::array<std::string_view, kTaskStatusCount> kStatusNames = {"pending", "queued", "assigned",  "running",
                                                                         "success", "failed", "cancelled", "timeout"};
constexpr std::array<std::string_view, 8> kOutcomeNames = {"",        "success",   "failed",  "failed_permanently",
                                                           "timeout", "cancelled", "crashed", "handed_back"};
constexpr std::array<std::string_view, 4> kIsolationNames = {"", "off", "basic", "strict"};
constexpr std::array<std::string_view, 5> kLogLevelNames = {"", "debug", "info", "warning", "error"};

template <class Enum, std::size_t kSize>
std::optional<Enum> find_name(const std::array<std::string_view, kSize>& names, std::string_view name) {
  for (std::size_t i = 0; i < kSize; ++i) {
    if (!names[i].empty() && names[i] == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

Error invalid(std::string_view key, const std::string& value, std::string_view rule) {
  return {ErrorCode::Invalid, std::string(key) + " must be " + std::string(rule) + ", got " + value};
}

Status check_quantity(std::string_view key, double value) {
  if (!std::isfinite(value) || value < 0 || value > kQuantityMax) {
    return invalid(key, std::to_string(value), "a number from 0 to 1000000000");
  }
  return ok_status();
}

Status check_word(std::string_view key, const std::string& value) {
  if (value.size() > kWordBytesMax) return Error{ErrorCode::TooLarge, std::string(key) + " is longer than 64 bytes"};
  return ok_status();
}

Status check_tags(const std::vector<std::string>& tags) {
  if (tags.size() > kTagsMax) return Error{ErrorCode::TooLarge, "required_tags has more than 1024 entries"};
  for (const std::string& tag : tags) {
    if (tag.empty()) return invalid("required_tags", "an empty one", "a list of tags of 1 to 64 bytes");
    if (Status status = check_word("required_tags", tag); !status.ok()) return status;
  }
  return ok_status();
}

Status check_resources(const Resources& resources) {
  if (resources.size() > kResourcesMax) return Error{ErrorCode::TooLarge, "resources has more than 64 entries"};
  for (std::size_t i = 0; i < resources.size(); ++i) {
    const auto& [name, amount] = resources[i];
    if (name.empty()) return invalid("resources", "an empty name", "a map of names to amounts");
    if (i > 0 && resources[i - 1].first == name)
      return invalid("resources", name + " twice", "a map of names to amounts");
    if (Status status = check_word("resources", name); !status.ok()) return status;
    if (Status status = check_quantity("resources." + name, amount); !status.ok()) return status;
  }
  return ok_status();
}

template <class Allowed>
bool made_of(std::string_view name, std::size_t size_max, Allowed allowed) {
  return !name.empty() && name.size() <= size_max && std::all_of(name.begin(), name.end(), allowed);
}

bool is_digit_or_lower(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

}  // namespace

std::string_view to_string(Priority priority) { return kPriorityNames.at(static_cast<std::size_t>(priority)); }
std::string_view to_string(TaskStatus status) { return kStatusNames.at(static_cast<std::size_t>(status)); }
std::string_view to_string(Outcome outcome) { return kOutcomeNames.at(static_cast<std::size_t>(outcome)); }
std::string_view to_string(Isolation isolation) { return kIsolationNames.at(static_cast<std::size_t>(isolation)); }
std::string_view to_string(LogLevel level) { return kLogLevelNames.at(static_cast<std::size_t>(level)); }
std::optional<Priority> parse_priority(std::string_view name) { return find_name<Priority>(kPriorityNames, name); }
std::optional<TaskStatus> parse_status(std::string_view name) { return find_name<TaskStatus>(kStatusNames, name); }
std::optional<Isolation> parse_isolation(std::string_view name) {
  if (name.empty()) return Isolation::Any;
  return find_name<Isolation>(kIsolationNames, name);
}

bool is_task_type(std::string_view name) {
  return made_of(name, kTaskTypeBytesMax,
                 [](char c) { return is_digit_or_lower(c) || c == '_' || c == '.' || c == '-'; });
}

bool is_device_id(std::string_view name) {
  return made_of(name, kDeviceIdBytesMax,
                 [](char c) { return is_digit_or_lower(lower(c)) || c == '_' || c == '.' || c == ':' || c == '-'; });
}

Status normalize(Requirements& requirements) {
  Requirements& r = requirements;
  std::transform(r.required_platform.begin(), r.required_platform.end(), r.required_platform.begin(), lower);
  std::sort(r.required_tags.begin(), r.required_tags.end());
  r.required_tags.erase(std::unique(r.required_tags.begin(), r.required_tags.end()), r.required_tags.end());
  std::sort(r.resources.begin(), r.resources.end());

  if (r.min_cpu_cores > kCpuCoresMax) {
    return invalid("min_cpu_cores", std::to_string(r.min_cpu_cores), "an integer from 0 to 1000000");
  }
  if (Status status = check_quantity("min_memory_gb", r.min_memory_gb); !status.ok()) return status;
  if (Status status = check_quantity("min_storage_gb", r.min_storage_gb); !status.ok()) return status;
  if (!(r.timeout_seconds >= kTimeoutSecondsMin && r.timeout_seconds <= kTimeoutSecondsMax)) {
    return invalid("timeout_seconds", std::to_string(r.timeout_seconds), "a number from 0.001 to 31536000");
  }
  if (r.max_retries > kRetriesMax) {
    return invalid("max_retries", std::to_string(r.max_retries), "an integer from 0 to 1000");
  }
  if (Status status = check_word("required_platform", r.required_platform); !status.ok()) return status;
  if (Status status = check_word("required_role", r.required_role); !status.ok()) return status;
  if (Status status = check_tags(r.required_tags); !status.ok()) return status;
  return check_resources(r.resources);
}

Status validate(const TaskSpec& spec) {
  if (spec.type.size() > kTaskTypeBytesMax) return Error{ErrorCode::TooLarge, "task_type is longer than 64 bytes"};
  if (!is_task_type(spec.type)) {
    return invalid("task_type", "\"" + spec.type + "\"", "1 to 64 characters of a-z 0-9 _ . -");
  }
  if (spec.priority < Priority::Low || spec.priority > Priority::Urgent) {
    return invalid("priority", std::to_string(static_cast<int>(spec.priority)), "1 (low) to 4 (urgent)");
  }
  if (spec.group.size() > kGroupBytesMax) return Error{ErrorCode::TooLarge, "group is longer than 128 bytes"};
  return ok_status();
}

}  // namespace retire
