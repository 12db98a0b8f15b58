// Writing: one frame each.
#include "common/protocol/codec.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {
namespace {

std::int64_t ms(Duration duration) { return duration.count() / 1000; }

void field(Packer& out, std::string_view key, std::string_view text) {
  out.text(key);
  out.text(text);
}
void field(Packer& out, std::string_view key, std::uint64_t value) {
  out.text(key);
  out.integer(value);
}
void field_number(Packer& out, std::string_view key, double value) {
  out.text(key);
  out.number(value);
}
void field_bool(Packer& out, std::string_view key, bool value) {
  out.text(key);
  out.boolean(value);
}
void field_time(Packer& out, std::string_view key, WallTime value) {
  out.text(key);
  out.time(value);
}
void field_or_nil(Packer& out, std::string_view key, std::string_view text) {
  out.text(key);
  out.text_or_nil(text);
}

std::string_view cut(std::string_view text, std::size_t size_max) {
  if (text.size() <= size_max) return text;
  std::size_t size = size_max;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;  // not inside a character
  return text.substr(0, size);
}

// An error quotes what a peer sent; that must not break the one line that people and logs get.
std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return line;
}

void pack_data(Packer& out, const std::optional<ByteView>& data) { data ? out.binary(*data) : out.nil(); }

void pack_logs(Packer& out, ByteView logs) { logs.empty() ? out.array(0) : out.raw(logs); }

void pack_error_history(Packer& out, const std::vector<AttemptError>* history) {
  out.array(history == nullptr ? 0 : history->size());
  if (history == nullptr) return;
  for (const AttemptError& error : *history) {
    out.map(5);
    field(out, "attempt", error.attempt);
    field(out, "device_id", error.device_id);
    field(out, "outcome", error.lost ? std::string_view("device_lost") : to_string(error.outcome));
    field_or_nil(out, "error_message", error.message);
    field_time(out, "at", error.at);
  }
}

void pack_task(Packer& out, const TaskReport& task) {
  out.map(15u + (task.payload ? 1 : 0) + (task.has_result ? 1 : 0) + (task.has_progress ? 1 : 0));
  out.text("task_id");
  out.uuid(task.id);
  field(out, "task_type", task.spec->type);
  if (task.payload) {
    out.text("payload");
    out.binary(*task.payload);
  }
  field(out, "priority", to_string(task.spec->priority));
  out.text("requirements");
  pack_requirements(out, task.spec->requirements, true);
  out.text("metadata");
  static constexpr std::string_view kEmptyMap("\x80", 1);
  out.binary(task.metadata.empty() ? kEmptyMap : task.metadata);
  field(out, "group", task.spec->group);
  field(out, "status", to_string(task.status));
  field_or_nil(out, "reason", task.reason);
  field_time(out, "created_at", task.created_at);
  field_time(out, "assigned_at", task.assigned_at);
  field_time(out, "started_at", task.started_at);
  field_time(out, "completed_at", task.completed_at);
  field_or_nil(out, "assigned_device_id", task.device_id);
  field(out, "retry_count", task.retry_count);
  out.text("error_history");
  pack_error_history(out, task.error_history);
  if (task.has_progress) {
    out.text("progress");
    out.map(3);
    out.text("fraction");
    task.progress_fraction ? out.number(*task.progress_fraction) : out.nil();
    field_or_nil(out, "text", task.progress_text);
    field_time(out, "at", task.progress_at);
  }
  if (task.has_result) {
    out.text("result");
    out.map(task.plugin.empty() ? 5 : 6);
    out.text("data");
    pack_data(out, task.result_data);
    field_or_nil(out, "error_message", task.error_message);
    field_or_nil(out, "error_traceback", task.traceback);
    field(out, "run_us", static_cast<std::uint64_t>(task.run.count()));
    if (!task.plugin.empty()) field(out, "plugin", task.plugin);
    out.text("logs");
    pack_logs(out, task.logs);
  }
}

}  // namespace

void encode(std::string& bytes, std::uint64_t correlation, const Hello& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Hello, correlation);
  const bool worker = message.peer == PeerKind::Worker;
  out.map(4u + (worker ? 2 : 0) + (message.draining ? 1 : 0) + (message.paused.empty() ? 0 : 1));
  field(out, "peer", worker ? "worker" : "client");
  out.text("versions");
  out.array(2);
  out.integer(message.version_min);
  out.integer(message.version_max);
  field(out, "program", message.program);
  out.text("instance");
  out.uuid(message.instance);
  if (worker) {
    RC_ASSERT(message.device.has_value());
    out.text("device");
    pack_capabilities(out, *message.device);
    out.text("held");
    out.attempts(message.held);
  }
  if (message.draining) field_bool(out, "draining", true);
  if (!message.paused.empty()) field(out, "paused", cut(message.paused, kPauseReasonBytesMax));
}

void encode(std::string& bytes, std::uint64_t correlation, const Welcome& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Welcome, correlation);
  out.map(11u + (message.abandon.empty() ? 0 : 1));
  field(out, "version", message.version);
  field(out, "program", message.program);
  out.text("instance");
  out.uuid(message.instance);
  field(out, "epoch", message.epoch);
  field_bool(out, "durable", message.durable);
  field(out, "heartbeat_ms", static_cast<std::uint64_t>(ms(message.heartbeat)));
  field(out, "offline_after_ms", static_cast<std::uint64_t>(ms(message.offline_after)));
  field(out, "lease_ms", static_cast<std::uint64_t>(ms(message.lease)));
  field(out, "message_bytes_max", message.message_bytes_max);
  field(out, "payload_bytes_max", message.payload_bytes_max);
  field(out, "result_bytes_max", message.result_bytes_max);
  if (!message.abandon.empty()) {
    out.text("abandon");
    out.attempts(message.abandon);
  }
}

void encode(std::string& bytes, std::uint64_t correlation, const Heartbeat& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Heartbeat, correlation);
  if (!message.from_worker) {
    out.map(0);
    return;
  }
  out.map(4u + (message.paused.empty() ? 0 : 1));
  field(out, "seen", message.seen);
  out.text("held");
  out.attempts(message.held);
  field_number(out, "load", message.load);
  field(out, "running", message.running);
  if (!message.paused.empty()) field(out, "paused", cut(message.paused, kPauseReasonBytesMax));
}

void encode(std::string& bytes, std::uint64_t correlation, const ErrorReply& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Error, correlation);
  out.map(2u + (message.index ? 1 : 0) + (message.field.empty() ? 0 : 1) + (message.retry_after ? 1 : 0));
  field(out, "code", to_string(message.code));
  field(out, "message", one_line(cut(message.message, kErrorMessageBytesMax)));
  if (message.index) field(out, "index", *message.index);
  if (!message.field.empty()) field(out, "field", message.field);
  if (message.retry_after) field(out, "retry_after_ms", static_cast<std::uint64_t>(ms(*message.retry_after)));
}

void encode(std::string& bytes, std::uint64_t correlation, const Submitted& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Submitted, correlation);
  out.map(1u + (message.ids.empty() ? 0 : 1) + (message.known.empty() ? 0 : 1));
  field(out, "count", message.count);
  if (!message.ids.empty()) {
    out.text("ids");
    out.uuids(message.ids);
  }
  if (!message.known.empty()) {
    out.text("known");
    out.array(message.known.size());
    for (const std::uint64_t index : message.known) out.integer(index);
  }
}

void encode(std::string& bytes, std::uint64_t correlation, const Get& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Get, correlation);
  out.map(3);
  out.text("ids");
  out.uuids(message.ids);
  field_bool(out, "payload", message.payload);
  field_bool(out, "result", message.result);
}

void encode(std::string& bytes, std::uint64_t correlation, const List& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::List, correlation);
  out.map(1u + (message.status ? 1 : 0) + (message.type.empty() ? 0 : 1) + (message.cursor ? 1 : 0));
  if (message.status) field(out, "status", to_string(*message.status));
  if (!message.type.empty()) field(out, "task_type", message.type);
  field(out, "limit", message.limit);
  if (message.cursor) field(out, "cursor", *message.cursor);
}

void encode(std::string& bytes, std::uint64_t correlation, const Tasks& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Tasks, correlation);
  out.map(1u + (message.next_cursor ? 1 : 0));
  out.text("tasks");
  out.array(message.tasks.size());
  for (const ByteView task : message.tasks) out.raw(task);
  if (message.next_cursor) field(out, "next_cursor", *message.next_cursor);
}

void encode(std::string& bytes, MessageType type, std::uint64_t correlation, const Cancelled& message) {
  Packer out(bytes);
  pack_envelope(out, type, correlation);
  out.map(1);
  out.text(to_string(type));
  out.array(message.cancelled.size());
  for (const std::optional<bool>& one : message.cancelled) one ? out.boolean(*one) : out.nil();
}

void encode(std::string& bytes, std::uint64_t correlation, const QueueControl& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Queue, correlation);
  out.map(message.type.empty() ? 1 : 2);
  field(out, "action", message.action == QueueControl::Action::Pause ? "pause" : "resume");
  if (!message.type.empty()) field(out, "task_type", message.type);
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

void encode(std::string& bytes, std::uint64_t correlation, const Devices& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Devices, correlation);
  out.map(message.device_id.empty() ? 0 : 1);
  if (!message.device_id.empty()) field(out, "device_id", message.device_id);
}

void encode(std::string& bytes, std::uint64_t correlation, const DeviceUpdate& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::DeviceUpdate, correlation);
  out.map(1);
  out.text("device");
  pack_capabilities(out, message.device);
}

void encode(std::string& bytes, std::uint64_t correlation, const Progress& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Progress, correlation);
  out.map(1);
  out.text("attempts");
  out.array(message.attempts.size());
  for (const ProgressItem& item : message.attempts) {
    out.array(!item.checkpoint.empty() ? 6 : !item.logs.empty() ? 5 : 4);
    out.integer(item.attempt.value());
    item.fraction ? out.number(*item.fraction) : out.nil();
    out.text_or_nil(cut(item.text, kProgressTextBytesMax));
    out.integer(item.first_line);
    if (!item.logs.empty() || !item.checkpoint.empty()) pack_logs(out, item.logs);
    if (!item.checkpoint.empty()) out.binary(item.checkpoint);
  }
}

void encode(std::string& bytes, std::uint64_t correlation, const Logs& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Logs, correlation);
  out.map(2);
  out.text("id");
  out.uuid(message.id);
  field(out, "cursor", message.cursor);
}

void encode(std::string& bytes, std::uint64_t correlation, const LogLines& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::LogLines, correlation);
  out.map(5);
  field(out, "status", to_string(message.status));
  field(out, "attempt", message.attempt);
  out.text("lines");
  pack_logs(out, message.lines);
  field(out, "next", message.next);
  field(out, "missed", message.missed);
}

void encode_ids(std::string& bytes, MessageType type, std::uint64_t correlation, const std::vector<TaskId>& ids) {
  Packer out(bytes);
  pack_envelope(out, type, correlation);
  out.map(1);
  out.text(type == MessageType::Waiting ? "unknown" : "ids");
  out.uuids(ids);
}

void encode_attempts(std::string& bytes, MessageType type, std::uint64_t correlation,
                     const std::vector<AttemptId>& attempts) {
  Packer out(bytes);
  pack_envelope(out, type, correlation);
  out.map(1);
  out.text("attempts");
  out.attempts(attempts);
}

void encode_empty(std::string& bytes, MessageType type, std::uint64_t correlation) {
  Packer out(bytes);
  pack_envelope(out, type, correlation);
  out.map(0);
}

void encode_tasks(std::string& bytes, std::uint64_t correlation, const std::vector<std::optional<TaskReport>>& tasks,
                  std::optional<std::uint64_t> next_cursor) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Tasks, correlation);
  out.map(next_cursor ? 2 : 1);
  out.text("tasks");
  out.array(tasks.size());
  for (const std::optional<TaskReport>& task : tasks) {
    if (task) {
      pack_task(out, *task);
    } else {
      out.nil();
    }
  }
  if (next_cursor) field(out, "next_cursor", *next_cursor);
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

std::string encode_log_lines(const std::vector<LogLine>& lines) {
  if (lines.empty()) return {};
  std::string bytes;
  Packer out(bytes);
  out.array(lines.size());
  for (const LogLine& line : lines) {
    out.array(3);
    out.integer(static_cast<std::uint64_t>(line.level));
    out.integer(line.us_since_start);
    out.text(line.text);
  }
  return bytes;
}

std::string encode_capabilities(const Capabilities& capabilities) {
  std::string bytes;
  Packer out(bytes);
  pack_capabilities(out, capabilities);
  return bytes;
}

std::string encode_spec(const TaskSpec& spec) {
  std::string bytes;
  Packer out(bytes);
  pack_spec(out, spec);
  return bytes;
}

std::uint32_t SubmitBatch::add_spec(const TaskSpec& spec) {
  Packer out(specs_);
  pack_spec(out, spec);
  return spec_count_++;
}

void SubmitBatch::add(const std::optional<TaskId>& id, std::uint32_t spec, ByteView payload, ByteView metadata) {
  Packer out(items_);
  out.array(metadata.empty() ? 3 : 4);
  if (id) {
    out.uuid(*id);
  } else {
    out.nil();
  }
  out.integer(spec);
  out.binary(payload);
  if (!metadata.empty()) out.binary(metadata);
  ++count_;
}

std::string SubmitBatch::take(std::uint64_t correlation) {
  std::string bytes;
  bytes.reserve(items_.size() + specs_.size() + kWordBytesMax);
  Packer out(bytes);
  pack_envelope(out, MessageType::Submit, correlation);
  out.map(notify_ ? 3 : 2);
  out.text("specs");
  out.array(spec_count_);
  out.raw(specs_);
  out.text("tasks");
  out.array(count_);
  out.raw(items_);
  if (notify_) field_bool(out, "notify", true);
  specs_.clear();
  items_.clear();
  spec_count_ = 0;
  count_ = 0;
  return bytes;
}

std::uint32_t AssignBatch::add_spec(const AssignSpec& spec) {
  Packer out(specs_);
  out.array(4);
  out.text(spec.type);
  out.integer(static_cast<std::uint64_t>(ms(spec.timeout)));
  out.integer(static_cast<std::uint64_t>(spec.priority));
  out.boolean(spec.at_most_once);
  return spec_count_++;
}

void AssignBatch::add(const AssignItem& item) {
  Packer out(items_);
  out.array(item.checkpoint.empty() ? 5 : 6);
  out.uuid(item.task);
  out.integer(item.attempt.value());
  out.integer(item.spec);
  out.binary(item.payload);
  out.integer(item.number);
  if (!item.checkpoint.empty()) out.binary(item.checkpoint);
  ++count_;
}

std::string AssignBatch::take(std::uint64_t correlation) {
  std::string bytes;
  bytes.reserve(items_.size() + specs_.size() + kWordBytesMax);
  Packer out(bytes);
  pack_envelope(out, MessageType::Assign, correlation);
  out.map(2);
  out.text("specs");
  out.array(spec_count_);
  out.raw(specs_);
  out.text("tasks");
  out.array(count_);
  out.raw(items_);
  specs_.clear();
  items_.clear();
  spec_count_ = 0;
  count_ = 0;
  return bytes;
}

namespace {

// Left out when it is empty.
void pack_plugins(Packer& out, const PluginTable& plugins) {
  if (plugins.names().empty()) return;
  out.text("plugins");
  out.array(plugins.names().size());
  for (const std::string& name : plugins.names()) out.text(name);
}

}  // namespace

std::optional<std::uint32_t> PluginTable::place_of(std::string_view plugin, bool bare) {
  plugin = cut(plugin, kPluginIdentityBytesMax);
  if (names_.empty()) {
    if (plugin.empty()) return std::nullopt;
    if (bare) names_.emplace_back();  // the empty name, which the items before mean
  }
  std::size_t place = 0;
  while (place < names_.size() && names_[place] != plugin) ++place;
  if (place == names_.size()) names_.emplace_back(plugin);
  return place == 0 ? std::nullopt : std::optional(static_cast<std::uint32_t>(place));
}

void FinishedBatch::add(const FinishedItem& item) {
  Packer out(items_);
  const std::optional<std::uint32_t> plugin = plugins_.place_of(item.plugin, count_ > 0);
  const bool checkpoint = !item.checkpoint.empty() || plugin;
  const bool tail = !item.error_message.empty() || !item.traceback.empty() || !item.logs.empty() || checkpoint;
  out.array(plugin ? 10 : checkpoint ? 9 : tail ? 8 : 5);
  out.uuid(item.task);
  out.integer(item.attempt.value());
  out.integer(static_cast<std::uint64_t>(item.outcome));
  pack_data(out, item.data);
  out.integer(static_cast<std::uint64_t>(item.run.count()));
  if (tail) {
    out.text_or_nil(cut(item.error_message, kErrorMessageBytesMax));
    out.text_or_nil(cut(item.traceback, kTracebackBytesMax));
    pack_logs(out, item.logs);
  }
  if (checkpoint) item.checkpoint.empty() ? out.nil() : out.binary(item.checkpoint);
  if (plugin) out.integer(*plugin);
  ++count_;
}

std::string FinishedBatch::take(std::uint64_t correlation) {
  std::string bytes;
  bytes.reserve(items_.size() + kWordBytesMax + plugins_.names().size() * kPluginIdentityBytesMax);
  Packer out(bytes);
  pack_envelope(out, MessageType::Finished, correlation);
  out.map(plugins_.names().empty() ? 1 : 2);
  pack_plugins(out, plugins_);
  out.text("results");
  out.array(count_);
  out.raw(items_);
  plugins_.clear();
  items_.clear();
  count_ = 0;
  return bytes;
}

std::uint32_t ResultsBatch::add_device(std::string_view device_id) {
  Packer out(devices_);
  out.text(device_id);
  return device_count_++;
}

void ResultsBatch::add(const ResultItem& item) {
  Packer out(items_);
  const std::optional<std::uint32_t> plugin = plugins_.place_of(item.plugin, count_ > 0);
  const bool tail = !item.error_message.empty() || !item.traceback.empty() || !item.logs.empty() || plugin;
  out.array(plugin ? 11 : tail ? 10 : 7);
  out.uuid(item.id);
  out.integer(static_cast<std::uint64_t>(item.status));
  pack_data(out, item.data);
  item.device ? out.integer(*item.device) : out.nil();
  out.time(item.started_at);
  out.signed_integer(item.completed_at.time_since_epoch().count());
  out.integer(static_cast<std::uint64_t>(item.run.count()));
  if (tail) {
    out.text_or_nil(item.error_message);
    out.text_or_nil(item.traceback);
    pack_logs(out, item.logs);
  }
  if (plugin) out.integer(*plugin);
  ++count_;
}

std::string ResultsBatch::take(std::uint64_t correlation) {
  std::string bytes;
  bytes.reserve(items_.size() + devices_.size() + kWordBytesMax + plugins_.names().size() * kPluginIdentityBytesMax);
  Packer out(bytes);
  pack_envelope(out, MessageType::Results, correlation);
  out.map(plugins_.names().empty() ? 2 : 3);
  pack_plugins(out, plugins_);
  out.text("devices");
  out.array(device_count_);
  out.raw(devices_);
  out.text("results");
  out.array(count_);
  out.raw(items_);
  devices_.clear();
  plugins_.clear();
  items_.clear();
  device_count_ = 0;
  count_ = 0;
  return bytes;
}

}  // namespace retire::protocol
