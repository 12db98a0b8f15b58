// Why a task waits. The verdict on a device comes from the code that matches (matching.cpp, DeviceTable::fits), and the
// state of the device from the same flags that dispatch reads, so that an explanation cannot differ from what happens.
#include <algorithm>
#include <charconv>

#include "broker/core/matching.hpp"
#include "broker/core/scheduler.hpp"

namespace retire::core {
namespace {

std::optional<double> parse_number(const std::string& json) {
  double value = 0;
  const auto [end, error] = std::from_chars(json.data(), json.data() + json.size(), value);
  if (error != std::errc() || end != json.data() + json.size()) return std::nullopt;
  return value;
}

// What would have to change, as a clause: "min_memory_gb were at most 4".
std::string remedy(const UnmetRequirement& unmet) {
  if (parse_number(unmet.has)) return unmet.requirement + " were at most " + unmet.has;
  if (unmet.requirement == "task_type") return "it offered " + unmet.wanted;
  if (unmet.requirement == "required_tags") return "it had the tags " + unmet.wanted;
  return unmet.requirement + " were not " + unmet.wanted;
}

// How far the device is from fitting: fewer unmet requirements first, then the smaller gap in numbers.
double distance(const DeviceVerdict& verdict) {
  double sum = 0;
  for (const UnmetRequirement& unmet : verdict.unmet) {
    const auto wanted = parse_number(unmet.wanted);
    const auto has = parse_number(unmet.has);
    sum += 10 + (wanted && has && *wanted > 0 ? (*wanted - *has) / *wanted : 1);
    if (unmet.requirement == "task_type") sum += 100;  // a handler does not come by asking for less
  }
  return sum;
}

std::string nearest_miss(const std::vector<DeviceVerdict>& verdicts) {
  const DeviceVerdict* nearest = nullptr;
  for (const DeviceVerdict& verdict : verdicts) {
    if (verdict.unmet.empty()) return {};  // one fits already
    if (nearest == nullptr || distance(verdict) < distance(*nearest)) nearest = &verdict;
  }
  if (nearest == nullptr) return {};
  std::string out = "would run on " + nearest->device_id + " if ";
  for (std::size_t i = 0; i < nearest->unmet.size(); ++i) out += (i == 0 ? "" : " and ") + remedy(nearest->unmet[i]);
  return out;
}

}  // namespace

std::string_view Scheduler::class_reason(ClassIndex class_place) const {
  const Class& task_class = catalog_.task_class(class_place);
  if (paused_ || catalog_.is_paused(class_place)) return "paused";
  bool any = false;
  bool connected = false;
  bool all_paused = true;  // of those
  bool available = false;
  task_class.profiles.for_each_common(task_class.profiles, 0, [&](std::uint32_t i) {
    const ProfileLoad& load = devices_.load(ProfileIndex{i});
    any = true;
    connected = connected || load.connected > 0;
    all_paused = all_paused && load.paused == load.connected;
    available = available || load.available > 0;
    return !available;
  });
  if (available) return "devices_busy";
  if (connected) return all_paused ? "devices_paused" : "devices_draining";  // or in quarantine
  if (any) return "devices_offline";
  const std::string& type = catalog_.type(task_class.type).name;
  for (std::uint32_t i = 1; i <= catalog_.profiles_last(); ++i) {
    const std::vector<std::string>& handlers = catalog_.profile(ProfileIndex{i}).capabilities.handlers;
    if (std::binary_search(handlers.begin(), handlers.end(), type)) return "no_device_matches";
  }
  return "no_handler";
}

std::string_view Scheduler::reason(TaskIndex place) const {
  const Task& task = tasks_[place];
  if (is_final(task.status)) {
    const Ending* ending = tasks_.find_ending(place);
    return ending == nullptr || ending->reason == nullptr ? std::string_view() : std::string_view(ending->reason);
  }
  if (task.status != TaskStatus::Queued) return {};
  if (task.delayed) return "retry_backoff";
  return class_reason(catalog_.spec(task.spec).task_class);
}

Explanation Scheduler::explain(TaskIndex place) const {
  const Task& task = tasks_[place];
  const Spec& spec = catalog_.spec(task.spec);
  Explanation out = explain(spec.spec, spec.task_class);
  out.id = task.id;
  out.status = task.status;
  out.reason = reason(place);
  if (task.status != TaskStatus::Queued) {
    out.nearest.clear();
    if (const AttemptIndex attempt = tasks_.attempt(place)) {
      const std::string& runs_on = devices_[attempts_[attempt].device].capabilities.device_id;
      for (DeviceVerdict& verdict : out.devices) {
        if (verdict.device_id == runs_on) verdict.verdict = "runs_it";
      }
    }
    return out;
  }
  if (task.delayed) return out;
  for (DeviceVerdict& verdict : out.devices) {
    if (verdict.verdict == "can_run" && !welcome(place, devices_.find(verdict.device_id), {latest_, {}})) {
      verdict.verdict = "failed_there";  // and another device is waited for, for a while
    }
  }

  // Rivals are the classes that some device could run which could also run this one.
  Bits rivals;
  const Bits& profiles = catalog_.task_class(spec.task_class).profiles;
  rivals.set(spec.task_class.value);
  profiles.for_each_common(profiles, 0, [&](std::uint32_t i) {
    rivals.merge(catalog_.profile(ProfileIndex{i}).classes);
    return true;
  });
  out.position = queue_.position(place, rivals);
  return out;
}

Explanation Scheduler::explain(const TaskSpec& spec) const {
  // Compared with each device on its own: asking must not leave a trace, so nothing is interned.
  Explanation out = explain(spec, ClassIndex{});
  out.status = TaskStatus::Pending;
  const auto has_verdict = [&](std::string_view verdict) {
    return std::any_of(out.devices.begin(), out.devices.end(), [&](const auto& d) { return d.verdict == verdict; });
  };
  const bool type_paused = catalog_.is_type_paused(spec.type);
  if (paused_ || type_paused) {
    out.reason = "paused";
  } else if (has_verdict("can_run")) {
    out.reason.clear();
  } else if (has_verdict("busy")) {
    out.reason = "devices_busy";
  } else if (has_verdict("draining") || has_verdict("quarantined")) {
    out.reason = "devices_draining";
  } else if (has_verdict("paused")) {
    out.reason = "devices_paused";
  } else if (has_verdict("offline")) {
    out.reason = "devices_offline";
  } else {
    out.reason = has_verdict("unmet") ? "no_device_matches" : "no_handler";
  }
  return out;
}

Explanation Scheduler::explain(const TaskSpec& spec, ClassIndex class_place) const {
  Explanation out;
  Class unknown;
  unknown.demands = spec.requirements;
  const Class& task_class = class_place ? catalog_.task_class(class_place) : unknown;
  devices_.for_each([&](DeviceIndex, const Device& device) {
    DeviceVerdict& verdict = out.devices.emplace_back();
    verdict.device_id = device.capabilities.device_id;
    if (device.profile) {
      verdict.unmet = unmet_requirements(spec.type, spec.requirements, catalog_.profile(device.profile).capabilities);
    }
    const bool no_handler = std::any_of(verdict.unmet.begin(), verdict.unmet.end(),
                                        [](const auto& unmet) { return unmet.requirement == "task_type"; });
    if (no_handler) {
      verdict.verdict = "no_handler";
    } else if (!verdict.unmet.empty()) {
      verdict.verdict = "unmet";
    } else if (!device.connected) {
      verdict.verdict = "offline";
    } else if (device.quarantined) {
      verdict.verdict = "quarantined";
    } else if (device.draining || device.drained) {
      verdict.verdict = "draining";
    } else if (device.paused) {
      verdict.verdict = "paused";
      verdict.state_reason = device.pause_reason;
    } else if (device.held >= device.slots() || !devices_.fits(device, task_class)) {
      verdict.verdict = "busy";
    } else {
      verdict.verdict = "can_run";
    }
  });
  out.nearest = nearest_miss(out.devices);
  return out;
}

}  // namespace retire::core
