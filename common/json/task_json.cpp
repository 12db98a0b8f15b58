#include "common/json/task_json.hpp"

#include <nlohmann/json.hpp>

#include "common/json/cursor.hpp"
#include "common/json/json.hpp"
#include "common/model/limits.hpp"

namespace retire::json {
namespace {

constexpr std::string_view kEmptyMap("\x80", 1);
constexpr std::size_t kShownMax = 100;

// A value, for an error: as JSON, and not too much of it.
std::string show(ByteView value) {
  std::string text = to_text(show_msgpack(value));
  if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "…";
  return text;
}

Error must_be(std::string_view key, std::string_view rule, ByteView value) {
  return {ErrorCode::Invalid, std::string(key) + " must be " + std::string(rule) + ", got " + show(value)};
}

// One key with its value. The bytes were made by msgpack_from_json(), so they are well-formed.
struct Field {
  std::string_view key;
  ByteView value;
  Token token;  // the head of the value
};

// Calls `visit` for each field of a map, until one fails.
template <class Visit>
Status each_field(ByteView map, std::string_view what, Visit visit) {
  Cursor in(map);
  const Token head = *in.next();
  if (head.kind != Kind::Map) return must_be(what, "an object", map);
  for (std::uint64_t i = 0; i < head.whole; ++i) {
    Field field;
    field.key = in.next()->bytes;
    field.value = *in.skip();
    field.token = *Cursor(field.value).next();
    if (Status status = visit(field); !status.ok()) return status;
  }
  return ok_status();
}

Status read_bool(const Field& field, bool& out) {
  if (field.token.kind != Kind::Bool) return must_be(field.key, "true or false", field.value);
  out = field.token.whole != 0;
  return ok_status();
}

Status read_number(const Field& field, double& out) {
  if (!field.token.is_number()) return must_be(field.key, "a number", field.value);
  out = field.token.as_number();
  return ok_status();
}

Status read_whole(const Field& field, std::uint32_t max, std::uint32_t& out) {
  if (!field.token.is_whole() || field.token.whole > max) {
    return must_be(field.key, "a whole number from 0 to " + std::to_string(max), field.value);
  }
  out = static_cast<std::uint32_t>(field.token.whole);
  return ok_status();
}

Status read_text(const Field& field, std::string& out) {
  if (field.token.kind != Kind::Text) return must_be(field.key, "a text", field.value);
  out = field.token.bytes;
  return ok_status();
}

Status read_tags(const Field& field, std::vector<std::string>& out) {
  if (field.token.kind != Kind::List) return must_be(field.key, "a list of texts", field.value);
  Cursor in(field.value);
  in.next();
  for (std::uint64_t i = 0; i < field.token.whole; ++i) {
    const Token tag = *in.next();
    if (tag.kind != Kind::Text) return must_be(field.key, "a list of texts", field.value);
    out.emplace_back(tag.bytes);
  }
  return ok_status();
}

Status read_resources(const Field& field, Resources& out) {
  return each_field(field.value, field.key, [&](const Field& resource) -> Status {
    if (!resource.token.is_number())
      return must_be("resources." + std::string(resource.key), "a number", resource.value);
    out.emplace_back(std::string(resource.key), resource.token.as_number());
    return ok_status();
  });
}

Status read_isolation(const Field& field, Isolation& out) {
  const auto level = field.token.kind == Kind::Text ? parse_isolation(field.token.bytes) : std::nullopt;
  if (!level) return must_be(field.key, "\"off\", \"basic\" or \"strict\"", field.value);
  out = *level;
  return ok_status();
}

Status read_requirement(const Field& field, Requirements& out) {
  const std::string_view key = field.key;
  if (key == "min_cpu_cores") return read_whole(field, kCpuCoresMax, out.min_cpu_cores);
  if (key == "min_memory_gb") return read_number(field, out.min_memory_gb);
  if (key == "min_storage_gb") return read_number(field, out.min_storage_gb);
  if (key == "gpu_required") return read_bool(field, out.gpu_required);
  if (key == "internet_required") return read_bool(field, out.internet_required);
  if (key == "required_platform") return read_text(field, out.required_platform);
  if (key == "required_role") return read_text(field, out.required_role);
  if (key == "required_tags") return read_tags(field, out.required_tags);
  if (key == "timeout_seconds") return read_number(field, out.timeout_seconds);
  if (key == "max_retries") return read_whole(field, kRetriesMax, out.max_retries);
  if (key == "resources") return read_resources(field, out.resources);
  if (key == "at_most_once") return read_bool(field, out.at_most_once);
  if (key == "min_isolation") return read_isolation(field, out.min_isolation);
  return Error{ErrorCode::Invalid,
               "unknown requirement \"" + std::string(key) +
                   "\"; known are min_cpu_cores, min_memory_gb, min_storage_gb, gpu_required, internet_required, "
                   "required_platform, required_role, required_tags, timeout_seconds, max_retries, resources, "
                   "at_most_once, min_isolation"};
}

Status read_requirements(ByteView map, Requirements& out) {
  Status status = each_field(map, "requirements", [&](const Field& field) { return read_requirement(field, out); });
  if (out.at_most_once) out.max_retries = 0;
  return status.ok() ? normalize(out) : status;
}

Status read_id(const Field& field, std::optional<TaskId>& out) {
  if (field.token.kind == Kind::Text) out = TaskId::parse(field.token.bytes);
  if (!out || !*out) return must_be(field.key, "a UUID such as 123e4567-e89b-12d3-a456-426614174000", field.value);
  return ok_status();
}

Status read_priority(const Field& field, Priority& out) {
  const auto priority = field.token.kind == Kind::Text ? parse_priority(field.token.bytes) : std::nullopt;
  if (!priority) return must_be(field.key, "\"low\", \"normal\", \"high\" or \"urgent\"", field.value);
  out = *priority;
  return ok_status();
}

Status read_bytes(const Field& field, std::size_t size_max, std::string& out) {
  if (field.value.size() > size_max) {
    return Error{ErrorCode::TooLarge, std::string(field.key) + " is " + std::to_string(field.value.size()) +
                                          " bytes as msgpack, more than the " + std::to_string(size_max) +
                                          " that are allowed; make it smaller"};
  }
  out = field.value;
  return ok_status();
}

Status read_task_field(const Field& field, TaskObject& out) {
  const std::string_view key = field.key;
  if (key == "payload") return read_bytes(field, kPayloadBytesMax, out.payload);
  if (key == "task_type") return read_text(field, out.spec.type);
  const bool left_out = field.token.kind == Kind::Nil;
  if (key == "task_id") return left_out ? ok_status() : read_id(field, out.id);
  if (key == "priority") return left_out ? ok_status() : read_priority(field, out.spec.priority);
  if (key == "group") return left_out ? ok_status() : read_text(field, out.spec.group);
  if (key == "requirements") return left_out ? ok_status() : read_requirements(field.value, out.spec.requirements);
  if (key == "metadata") {
    if (left_out) return ok_status();
    if (field.token.kind != Kind::Map) return must_be(key, "an object", field.value);
    return read_bytes(field, kMetadataBytesMax, out.metadata);
  }
  return Error{ErrorCode::Invalid,
               "unknown key \"" + std::string(key) +
                   "\"; known are task_type, payload, priority, requirements, metadata, group, task_id"};
}

Status to_msgpack(std::string_view text, std::string& out) {
  const Status status = msgpack_from_json(text, out);
  if (status.ok()) return status;
  return Error{ErrorCode::Invalid, "not JSON: " + status.error().detail};
}

}  // namespace

Status task_from_json(std::string_view text, TaskObject& out) {
  thread_local std::string bytes;  // keeps its capacity from line to line
  bytes.clear();
  if (Status status = to_msgpack(text, bytes); !status.ok()) return status;
  out.spec.type.clear();
  out.spec.group.clear();
  out.spec.priority = Priority::Normal;
  out.spec.requirements = Requirements{};
  out.id.reset();
  out.payload = kEmptyMap;
  out.metadata.clear();
  bool has_type = false;
  Status status = each_field(bytes, "a task", [&](const Field& field) {
    has_type = has_type || field.key == "task_type";
    return read_task_field(field, out);
  });
  if (!status.ok()) return status;
  if (!has_type)
    return Error{ErrorCode::Invalid, "task_type is missing; say which handler is to run it, e.g. \"echo\""};
  return validate(out.spec);
}

Status requirements_from_json(std::string_view text, Requirements& out) {
  std::string bytes;
  if (Status status = to_msgpack(text, bytes); !status.ok()) return status;
  out = Requirements{};
  return read_requirements(bytes, out);
}

}  // namespace retire::json
