#include "common/json/report_json.hpp"

#include <array>
#include <nlohmann/json.hpp>

#include "common/json/cursor.hpp"

namespace retire::json {
namespace {

Error malformed(std::string_view what) {
  return {ErrorCode::Malformed, "main sent a " + std::string(what) + " that cannot be read"};
}

Json time_or_null(std::int64_t microseconds) {
  if (microseconds == 0) return nullptr;
  return to_iso8601(WallTime(Duration(microseconds)));
}

Json time_or_null(const Token& token) {
  if (token.kind == Kind::Negative) return time_or_null(token.negative);
  if (token.kind == Kind::Unsigned && token.whole <= INT64_MAX) {
    return time_or_null(static_cast<std::int64_t>(token.whole));
  }
  return nullptr;
}

bool is_time(std::string_view key) {
  return key == "created_at" || key == "assigned_at" || key == "started_at" || key == "completed_at";
}

// [[level, us_since_start, text], …] -> [{time, level, message}, …]
Json logs_document(ByteView logs) {
  Json out = Json::array();
  if (logs.empty()) return out;
  Result<Json> lines = json_from_msgpack(logs);
  if (!lines.ok() || !lines.value().is_array()) return out;
  for (const Json& line : lines.value()) {
    if (!line.is_array() || line.size() < 3 || !line[0].is_number_unsigned() || !line[1].is_number_unsigned()) continue;
    const auto level = line[0].get<std::uint64_t>();
    Json one = Json::object();
    one["time"] = static_cast<double>(line[1].get<std::uint64_t>()) / 1e6;
    one["level"] = level <= 4 ? std::string(to_string(static_cast<LogLevel>(level))) : std::to_string(level);
    one["message"] = line[2];
    out.push_back(std::move(one));
  }
  return out;
}

struct TaskMap {
  Json fields = Json::object();  // as for the document, but for `result`
  ByteView result;               // empty: none
};

// The fields of one task map, in the order they came.
bool read_task_map(ByteView bytes, TaskMap& out) {
  Cursor in(bytes);
  const auto head = in.next();
  if (!head || head->kind != Kind::Map) return false;
  for (std::uint64_t i = 0; i < head->whole; ++i) {
    const auto key = in.next();
    const auto value = in.skip();
    if (!key || key->kind != Kind::Text || !value) return false;
    const Token token = *Cursor(*value).next();
    const std::string name(key->bytes);
    if (name == "task_id") {
      if (token.kind != Kind::Binary || token.bytes.size() != Uuid::kBytes) return false;
      out.fields[name] = Uuid::from_bytes(token.bytes.data()).text();
    } else if (name == "payload" || name == "metadata") {
      out.fields[name] = token.kind == Kind::Binary ? show_msgpack(token.bytes) : Json(nullptr);
    } else if (is_time(name)) {
      out.fields[name] = time_or_null(token);
    } else if (name == "result") {
      if (token.kind == Kind::Map) out.result = *value;
    } else {
      Result<Json> json = json_from_msgpack(*value);
      if (!json.ok()) return false;
      out.fields[name] = std::move(json).value();
    }
  }
  return in.at_end();
}

Json field_or_null(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? Json(nullptr) : *found;
}

void make_times(Json& list, const char* key) {
  if (!list.is_array()) return;
  for (Json& one : list) {
    if (one.is_object() && one.contains(key) && one[key].is_number_integer()) {
      one[key] = time_or_null(one[key].get<std::int64_t>());
    }
  }
}

Result<Json> task_result(const Json& task, ByteView result) {
  Json raw = Json::object();
  Json data;
  Json logs = Json::array();
  Cursor in(result);
  const Token head = *in.next();
  for (std::uint64_t i = 0; i < head.whole; ++i) {
    const auto key = in.next();
    const auto value = in.skip();
    if (!key || !value) return malformed("task result");
    const Token token = *Cursor(*value).next();
    if (key->bytes == "data") {
      if (token.kind == Kind::Binary) data = show_msgpack(token.bytes);
    } else if (key->bytes == "logs") {
      logs = logs_document(*value);
    } else {
      raw[std::string(key->bytes)] = show_msgpack(*value);
    }
  }
  Json out = Json::object();
  out["task_id"] = field_or_null(task, "task_id");
  out["status"] = field_or_null(task, "status");
  out["result_data"] = std::move(data);
  out["error_message"] = field_or_null(raw, "error_message");
  out["error_traceback"] = field_or_null(raw, "error_traceback");
  const Json run = field_or_null(raw, "run_us");
  out["execution_time_seconds"] = run.is_number() ? run.get<double>() / 1e6 : 0.0;
  out["worker_device_id"] = field_or_null(task, "assigned_device_id");
  out["started_at"] = field_or_null(task, "started_at");
  out["completed_at"] = field_or_null(task, "completed_at");
  out["logs"] = std::move(logs);
  out["plugin"] = field_or_null(raw, "plugin");
  return out;
}

Json text_or_null(std::string_view text) { return text.empty() ? Json(nullptr) : Json(std::string(text)); }

void show_last_seen(Json& device) {
  if (device.is_object() && device.contains("last_seen") && device["last_seen"].is_number_integer()) {
    device["last_seen"] = time_or_null(device["last_seen"].get<std::int64_t>());
  }
}

// "64" -> 64; what is no JSON stays text.
void as_value(Json& object, const char* key) {
  if (!object.is_object() || !object.contains(key) || !object[key].is_string()) return;
  std::string bytes;
  if (msgpack_from_json(object[key].get_ref<const std::string&>(), bytes).ok()) object[key] = show_msgpack(bytes);
}

}  // namespace

Result<Json> task_document(ByteView task_map) {
  TaskMap task;
  if (!read_task_map(task_map, task)) return malformed("task");
  Json out = Json::object();
  for (const char* key : {"task_id", "task_type", "payload", "priority", "requirements", "metadata", "group", "status",
                          "reason", "created_at", "assigned_device_id", "assigned_at", "started_at", "completed_at",
                          "retry_count", "error_history"}) {
    out[key] = field_or_null(task.fields, key);
  }
  make_times(out["error_history"], "at");
  if (const auto progress = task.fields.find("progress"); progress != task.fields.end() && progress->is_object()) {
    Json list = Json::array({*progress});
    make_times(list, "at");
    out["progress"] = list[0];
  }
  out["result"] = nullptr;
  if (!task.result.empty()) {
    Result<Json> result = task_result(out, task.result);
    if (!result.ok()) return result.error();
    out["result"] = std::move(result).value();
  }
  return out;
}

Json log_document(ByteView lines) { return logs_document(lines); }

Json result_document(const ResultItem& item, std::string_view device) {
  Json out = Json::object();
  out["task_id"] = item.id.text();
  out["status"] = std::string(to_string(item.status));
  out["result_data"] = item.data ? show_msgpack(*item.data) : Json(nullptr);
  out["error_message"] = text_or_null(item.error_message);
  out["error_traceback"] = text_or_null(item.traceback);
  out["execution_time_seconds"] = to_seconds(item.run);
  out["worker_device_id"] = text_or_null(device);
  out["started_at"] = time_or_null(item.started_at.time_since_epoch().count());
  out["completed_at"] = time_or_null(item.completed_at.time_since_epoch().count());
  out["logs"] = logs_document(item.logs);
  out["plugin"] = text_or_null(item.plugin);
  return out;
}

Result<Json> device_document(ByteView device_map) {
  Result<Json> out = json_from_msgpack(device_map);
  if (!out.ok() || !out.value().is_object()) return malformed("device");
  show_last_seen(out.value());
  return out;
}

Result<Json> devices_document(ByteView device_maps) {
  Result<Json> out = json_from_msgpack(device_maps);
  if (!out.ok() || !out.value().is_array()) return malformed("device list");
  for (Json& device : out.value()) show_last_seen(device);
  return out;
}

Result<Json> explanation_document(ByteView explanation) {
  Result<Json> out = json_from_msgpack(explanation);
  if (!out.ok() || !out.value().is_object()) return malformed("explanation");
  if (!out.value().contains("devices")) return out;
  for (Json& device : out.value()["devices"]) {
    if (!device.is_object() || !device.contains("unmet")) continue;
    for (Json& unmet : device["unmet"]) {
      as_value(unmet, "wanted");
      as_value(unmet, "has");
    }
  }
  return out;
}

Result<Json> statistics_document(ByteView statistics) {
  Result<Json> out = json_from_msgpack(statistics);
  if (!out.ok() || !out.value().is_object()) return malformed("set of statistics");
  return out;
}

}  // namespace retire::json
