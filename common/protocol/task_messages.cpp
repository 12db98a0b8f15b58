// What clients ask of tasks that are known by their IDs, and main's answers: get, list, tasks; cancel, cancelled,
// retry, retried; wait, waiting, forget.
#include "common/protocol/codec.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {
namespace {

// Checks what programs rely on in a task map and returns its bytes as they are; nil is an unknown task.
ByteView read_task_map(Reader& in) {
  if (in.is_nil()) return in.skip();
  Reader ahead = in;
  Fields fields(ahead);
  while (fields.next()) {
    if (fields.is("task_id")) {
      ahead.uuid();
    } else if (fields.is("status")) {
      if (!parse_status(ahead.text(kWordBytesMax))) ahead.fail(ErrorCode::Invalid, "is no status");
    } else if (fields.is("priority")) {
      if (!parse_priority(ahead.text(kWordBytesMax))) ahead.fail(ErrorCode::Invalid, "is no priority");
    } else {
      fields.skip();
    }
  }
  fields.require({"task_id", "status", "priority"});
  if (ahead.failed()) {
    in = ahead;
    return {};
  }
  return in.skip();
}

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

Status decode_ids(ByteView body, std::string_view key, TaskIds& out) {
  out.ids.clear();
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is(key)) {
      read_uuids(in, out.ids);
    } else {
      fields.skip();
    }
  }
  fields.require({key});
  return finish(in);
}

void encode_ids(std::string& bytes, MessageType type, std::uint64_t correlation, const std::vector<TaskId>& ids) {
  Packer out(bytes);
  pack_envelope(out, type, correlation);
  out.map(1);
  out.text(type == MessageType::Waiting ? "unknown" : "ids");
  out.uuids(ids);
}

Status decode(ByteView body, Get& out) {
  out = Get{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("ids")) {
      read_uuids(in, out.ids);
    } else if (fields.is("payload")) {
      out.payload = in.boolean();
    } else if (fields.is("result")) {
      out.result = in.boolean();
    } else {
      fields.skip();
    }
  }
  fields.require({"ids"});
  return finish(in);
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

Status decode(ByteView body, List& out) {
  out = List{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("status")) {
      const std::string_view name = in.text(kWordBytesMax);
      out.status = parse_status(name);
      if (!out.status && !in.failed()) in.fail(ErrorCode::Invalid, "is no status: \"" + std::string(name) + "\"");
    } else if (fields.is("task_type")) {
      out.type = read_task_type(in);
    } else if (fields.is("limit")) {
      out.limit = static_cast<std::uint32_t>(in.integer(kListLimitMax));
      if (!in.failed() && out.limit == 0) in.fail(ErrorCode::Invalid, "must be from 1 to 1000, got 0");
    } else if (fields.is("cursor")) {
      out.cursor = in.integer();
    } else {
      fields.skip();
    }
  }
  return finish(in);
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

Status decode(ByteView body, Tasks& out) {
  out.tasks.clear();
  out.next_cursor.reset();
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("tasks")) {
      if (auto error = read_items(in, "tasks", out.tasks, [&](ByteView& task) { task = read_task_map(in); }))
        return *error;
    } else if (fields.is("next_cursor")) {
      if (in.is_nil()) {
        in.nil();
      } else {
        out.next_cursor = in.integer();
      }
    } else {
      fields.skip();
    }
  }
  fields.require({"tasks"});
  return finish(in);
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

Status decode(ByteView body, std::string_view key, Cancelled& out) {
  out.cancelled.clear();
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is(key)) {
      const auto read_one = [&](std::optional<bool>& one) {
        if (in.is_nil()) {
          in.nil();
        } else {
          one = in.boolean();
        }
      };
      if (auto error = read_items(in, key, out.cancelled, read_one)) return *error;
    } else {
      fields.skip();
    }
  }
  fields.require({key});
  return finish(in);
}

void encode(std::string& bytes, MessageType type, std::uint64_t correlation, const Cancelled& message) {
  Packer out(bytes);
  pack_envelope(out, type, correlation);
  out.map(1);
  out.text(to_string(type));
  out.array(message.cancelled.size());
  for (const std::optional<bool>& one : message.cancelled) one ? out.boolean(*one) : out.nil();
}

}  // namespace retire::protocol
