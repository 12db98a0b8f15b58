// What people ask of the cluster as a whole: queue, device, why, devices, and the reports that answer them.
#include "common/protocol/codec.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {
namespace {

// A map, or an array of maps.
ByteView read_report(Reader& in, bool list) {
  Reader ahead = in;
  if (list) {
    const std::uint32_t count = ahead.array(SIZE_MAX);
    for (std::uint32_t i = 0; i < count && !ahead.failed(); ++i) {
      Fields fields(ahead);
      while (fields.next()) fields.skip();
    }
    ahead.leave();
  } else {
    Fields fields(ahead);
    while (fields.next()) fields.skip();
  }
  if (ahead.failed()) {
    in = ahead;
    return {};
  }
  return in.skip();
}

}  // namespace

Status decode(ByteView body, QueueControl& out) {
  out = QueueControl{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("action")) {
      const std::string_view action = in.text(kWordBytesMax);
      if (action == "resume") {
        out.action = QueueControl::Action::Resume;
      } else if (action != "pause") {
        in.fail(ErrorCode::Invalid, "must be pause or resume, got \"" + std::string(action) + "\"");
      }
    } else if (fields.is("task_type")) {
      out.type = read_task_type(in);
    } else {
      fields.skip();
    }
  }
  fields.require({"action"});
  return finish(in);
}

void encode(std::string& bytes, std::uint64_t correlation, const QueueControl& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Queue, correlation);
  out.map(message.type.empty() ? 1 : 2);
  field(out, "action", message.action == QueueControl::Action::Pause ? "pause" : "resume");
  if (!message.type.empty()) field(out, "task_type", message.type);
}

Status decode(ByteView body, DeviceControl& out) {
  out = DeviceControl{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("action")) {
      const std::string_view action = in.text(kWordBytesMax);
      if (action == "resume") {
        out.action = DeviceControl::Action::Resume;
      } else if (action == "remove") {
        out.action = DeviceControl::Action::Remove;
      } else if (action != "drain") {
        in.fail(ErrorCode::Invalid, "must be drain, resume or remove, got \"" + std::string(action) + "\"");
      }
    } else if (fields.is("device_id")) {
      out.device_id = read_device_id(in);
    } else {
      fields.skip();
    }
  }
  fields.require({"action", "device_id"});
  return finish(in);
}

void encode(std::string& bytes, std::uint64_t correlation, const DeviceControl& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Device, correlation);
  out.map(2);
  std::string_view action = "drain";
  if (message.action == DeviceControl::Action::Resume) action = "resume";
  if (message.action == DeviceControl::Action::Remove) action = "remove";
  field(out, "action", action);
  field(out, "device_id", message.device_id);
}

Status decode(ByteView body, Why& out) {
  out = Why{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("id")) {
      out.id = in.uuid();
    } else if (fields.is("spec")) {
      read_spec(in, out.spec.emplace());
    } else {
      fields.skip();
    }
  }
  if (!out.spec) fields.require({"id"});
  return finish(in);
}

void encode(std::string& bytes, std::uint64_t correlation, const Why& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Why, correlation);
  out.map((message.id ? 1u : 0u) + (message.spec ? 1u : 0u));
  if (message.id) {
    out.text("id");
    out.uuid(*message.id);
  }
  if (message.spec) {
    out.text("spec");
    pack_spec(out, *message.spec);
  }
}

Status decode(ByteView body, Devices& out) {
  out.device_id.clear();
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("device_id")) {
      out.device_id = read_device_id(in);
    } else {
      fields.skip();
    }
  }
  return finish(in);
}

void encode(std::string& bytes, std::uint64_t correlation, const Devices& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Devices, correlation);
  out.map(message.device_id.empty() ? 0 : 1);
  if (!message.device_id.empty()) field(out, "device_id", message.device_id);
}

Status decode_report(ByteView body, std::string_view key, Report& out) {
  out.value = {};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is(key)) {
      out.value = read_report(in, key == "devices");
    } else {
      fields.skip();
    }
  }
  fields.require({key});
  return finish(in);
}

void encode(std::string& bytes, std::uint64_t correlation, const Explanation& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Explained, correlation);
  out.map(1);
  out.text("explanation");
  out.map(6);
  out.text("task_id");
  message.id ? out.text(message.id->text()) : out.nil();
  field(out, "status", to_string(message.status));
  field_or_nil(out, "reason", message.reason);
  out.text("position");
  message.position ? out.integer(*message.position) : out.nil();
  out.text("devices");
  out.array(message.devices.size());
  for (const DeviceVerdict& device : message.devices) {
    out.map(3u + (device.state_reason.empty() ? 0 : 1));
    field(out, "device_id", device.device_id);
    field(out, "verdict", device.verdict);
    out.text("unmet");
    out.array(device.unmet.size());
    for (const UnmetRequirement& unmet : device.unmet) {
      out.map(3);
      field(out, "requirement", unmet.requirement);
      field(out, "wanted", unmet.wanted);
      field(out, "has", unmet.has);
    }
    if (!device.state_reason.empty()) field(out, "state_reason", device.state_reason);
  }
  field_or_nil(out, "nearest", message.nearest);
}

void encode(std::string& bytes, std::uint64_t correlation, const ClusterStatistics& s) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Statistics, correlation);
  out.map(1);
  out.text("statistics");
  out.map(4);

  out.text("cluster_stats");
  out.map(5);
  field(out, "online_devices", s.online_devices);
  field(out, "total_devices", s.total_devices);
  field(out, "total_capacity", s.total_capacity);
  field(out, "total_load", s.total_load);
  const auto percent = [](std::uint64_t load, std::uint64_t capacity) {
    return capacity == 0 ? 0.0 : 100.0 * static_cast<double>(load) / static_cast<double>(capacity);
  };
  field_number(out, "cluster_utilization", percent(s.total_load, s.total_capacity));

  out.text("queue_stats");
  out.map(5);
  field(out, "total_tasks", s.total_tasks);
  out.text("by_status");
  out.map(kTaskStatusCount);
  for (std::size_t i = 0; i < s.by_status.size(); ++i) {
    field(out, to_string(static_cast<TaskStatus>(i)), s.by_status.at(i));
  }
  out.text("by_priority");
  out.map(kPriorityCount);
  for (std::size_t i = 1; i < s.by_priority.size(); ++i) {
    field(out, to_string(static_cast<Priority>(i)), s.by_priority.at(i));
  }
  out.text("by_device");
  out.map(s.by_device.size());
  for (const auto& [name, count] : s.by_device) field(out, name, count);
  out.text("by_type");
  out.map(s.by_type.size());
  for (const auto& [name, count] : s.by_type) field(out, name, count);

  out.text("scheduler_stats");
  out.map(8);
  field(out, "tasks_scheduled", s.tasks_scheduled);
  field(out, "tasks_completed", s.tasks_completed);
  field(out, "tasks_failed", s.tasks_failed);
  field(out, "tasks_retried", s.tasks_retried);
  field(out, "attempts_lost", s.attempts_lost);
  field(out, "leases_expired", s.leases_expired);
  field(out, "results_stale", s.results_stale);
  field_number(out, "uptime_seconds", s.uptime_seconds);

  out.text("device_stats");
  out.map(s.devices.size());
  for (const auto& [name, device] : s.devices) {
    out.text(name);
    out.map(4);
    field(out, "capacity", device.capacity);
    field(out, "load", device.load);
    field_number(out, "utilization", percent(device.load, device.capacity));
    out.text("capabilities");
    pack_capabilities(out, *device.capabilities);
  }
}

void encode(std::string& bytes, std::uint64_t correlation, const std::vector<DeviceReport>& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::DeviceList, correlation);
  out.map(1);
  out.text("devices");
  out.array(message.size());
  for (const DeviceReport& device : message) {
    out.map(capability_field_count(*device.capabilities) + 10);
    pack_capability_fields(out, *device.capabilities);
    field(out, "state", device.state);
    field_or_nil(out, "state_reason", device.state_reason);
    field(out, "load", device.load);
    field(out, "held", device.held);
    field_number(out, "system_load", device.system_load);
    field_time(out, "last_seen", device.last_seen);
    field_bool(out, "connected", device.connected);
    field(out, "attempts_succeeded", device.attempts_succeeded);
    field(out, "attempts_failed", device.attempts_failed);
    field(out, "attempts_lost", device.attempts_lost);
  }
}

}  // namespace retire::protocol
