#include "broker/store/record_codec.hpp"

#include <algorithm>

#include "broker/store/bytes.hpp"
#include "common/base/assert.hpp"

namespace retire::store {
namespace {

using Kind = Record::Kind;

constexpr std::uint8_t kGpu = 1;
constexpr std::uint8_t kInternet = 2;
constexpr std::uint8_t kAtMostOnce = 4;
constexpr std::uint8_t kHasData = 1;
constexpr std::uint8_t kHasPlugin = 2;  // its name follows at the end

std::int64_t us(WallTime time) { return time.time_since_epoch().count(); }
WallTime wall(std::int64_t value) { return WallTime(Duration(value)); }

// Makes room for an entry of `size` bytes with its head written, and leaves the writer behind that.
ByteWriter begin(std::string& out, std::size_t size, std::uint8_t type, Position position, Position of) {
  RC_ASSERT(size < (std::size_t{1} << 26));
  const std::size_t at = out.size();
  out.resize(at + size);
  ByteWriter writer(out.data() + at);
  writer.put(static_cast<std::uint32_t>(size));
  writer.put(type);
  writer.put(position);
  writer.put(of);
  return writer;
}

void put_id(ByteWriter& writer, const TaskId& id) {
  writer.put(id.high());
  writer.put(id.low());
}

std::size_t errors_bytes(const std::vector<AttemptError>* errors) {
  std::size_t size = 2;
  if (errors == nullptr) return size;
  for (const AttemptError& error : *errors) {
    size += 4 + 1 + 1 + 8 + 2 + error.device_id.size() + 4 + error.message.size();
  }
  return size;
}

void put_errors(ByteWriter& writer, const std::vector<AttemptError>* errors) {
  writer.put(static_cast<std::uint16_t>(errors == nullptr ? 0 : errors->size()));
  if (errors == nullptr) return;
  for (const AttemptError& error : *errors) {
    writer.put(error.attempt);
    writer.put(static_cast<std::uint8_t>(error.outcome));
    writer.put(static_cast<std::uint8_t>(error.lost));
    writer.put(us(error.at));
    writer.sized<std::uint16_t>(error.device_id);
    writer.sized<std::uint32_t>(error.message);
  }
}

void get_errors(ByteReader& reader, std::vector<AttemptError>& out) {
  const auto count = reader.get<std::uint16_t>();
  out.clear();
  for (std::uint16_t i = 0; i < count && reader.ok(); ++i) {
    AttemptError& error = out.emplace_back();
    error.attempt = reader.get<std::uint32_t>();
    const auto outcome = reader.get<std::uint8_t>();
    if (outcome < 1 || outcome > static_cast<std::uint8_t>(Outcome::HandedBack)) reader.fail();
    error.outcome = static_cast<Outcome>(outcome);
    error.lost = reader.get<std::uint8_t>() != 0;
    error.at = wall(reader.get<std::int64_t>());
    error.device_id = reader.sized<std::uint16_t>();
    error.message = reader.sized<std::uint32_t>();
  }
}

void encode_submitted(const Record& record, Position position, std::uint32_t place, std::string& out) {
  const TaskReport& task = record.task;
  const ByteView payload = task.payload.value_or(ByteView());
  const std::size_t size = kEntryHeadBytes + 4 + 16 + 8 + 8 + 4 + 4 + task.metadata.size() + payload.size();
  ByteWriter writer = begin(out, size, static_cast<std::uint8_t>(Kind::Submitted), position, 0);
  writer.put(place);
  put_id(writer, task.id);
  writer.put(record.sequence);
  writer.put(us(task.created_at));
  writer.sized<std::uint32_t>(task.metadata);
  writer.sized<std::uint32_t>(payload);
}

void encode_dispatched(const Record& record, Position position, std::string& out) {
  const TaskReport& task = record.task;
  const std::size_t size = kEntryHeadBytes + 16 + 8 + 8 + 4 + 4 + 2 + task.device_id.size();
  ByteWriter writer = begin(out, size, static_cast<std::uint8_t>(Kind::Dispatched), position, record.of);
  put_id(writer, task.id);
  writer.put(record.attempt.value());
  writer.put(us(task.assigned_at));
  writer.put(record.failures);
  writer.put(record.lost);
  writer.sized<std::uint16_t>(task.device_id);
}

void encode_retried(const Record& record, Position position, std::string& out) {
  const TaskReport& task = record.task;
  const std::size_t size =
      kEntryHeadBytes + 16 + 4 + 4 + 8 + (4 + task.checkpoint.size()) + errors_bytes(task.error_history);
  ByteWriter writer = begin(out, size, static_cast<std::uint8_t>(record.kind), position, record.of);
  put_id(writer, task.id);
  writer.put(record.failures);
  writer.put(record.lost);
  writer.put(us(record.due));
  writer.sized<std::uint32_t>(task.checkpoint);
  put_errors(writer, task.error_history);
}

void encode_ended(const Record& record, Position position, std::string& out) {
  const TaskReport& task = record.task;
  const ByteView data = task.result_data.value_or(ByteView());
  const std::size_t size = kEntryHeadBytes + 16 + 1 + 1 + 4 + 4 + 4 * 8 + (2 + task.reason.size()) +
                           (2 + task.device_id.size()) + (4 + data.size()) + (4 + task.error_message.size()) +
                           (4 + task.traceback.size()) + (4 + task.logs.size()) + errors_bytes(task.error_history) +
                           (task.plugin.empty() ? 0 : 2 + task.plugin.size());
  ByteWriter writer = begin(out, size, static_cast<std::uint8_t>(Kind::Ended), position, record.of);
  put_id(writer, task.id);
  writer.put(static_cast<std::uint8_t>(task.status));
  writer.put(static_cast<std::uint8_t>((task.result_data ? kHasData : 0) | (task.plugin.empty() ? 0 : kHasPlugin)));
  writer.put(record.failures);
  writer.put(record.lost);
  writer.put(us(task.assigned_at));
  writer.put(us(task.started_at));
  writer.put(us(task.completed_at));
  writer.put(std::int64_t{task.run.count()});
  writer.sized<std::uint16_t>(task.reason);
  writer.sized<std::uint16_t>(task.device_id);
  writer.sized<std::uint32_t>(data);
  writer.sized<std::uint32_t>(task.error_message);
  writer.sized<std::uint32_t>(task.traceback);
  writer.sized<std::uint32_t>(task.logs);
  put_errors(writer, task.error_history);
  if (!task.plugin.empty()) writer.sized<std::uint16_t>(task.plugin);
}

void decode_ended(ByteReader& reader, DecodedRecord& out) {
  Record& record = out.record;
  TaskReport& task = record.task;
  const auto status = reader.get<std::uint8_t>();
  if (status >= kTaskStatusCount || !is_final(static_cast<TaskStatus>(status))) reader.fail();
  task.status = static_cast<TaskStatus>(status);
  const auto flags = reader.get<std::uint8_t>();
  const bool has_data = (flags & kHasData) != 0;
  record.failures = reader.get<std::uint32_t>();
  record.lost = reader.get<std::uint32_t>();
  task.assigned_at = wall(reader.get<std::int64_t>());
  task.started_at = wall(reader.get<std::int64_t>());
  task.completed_at = wall(reader.get<std::int64_t>());
  task.run = Duration(reader.get<std::int64_t>());
  task.reason = reader.sized<std::uint16_t>();
  task.device_id = reader.sized<std::uint16_t>();
  const ByteView data = reader.sized<std::uint32_t>();
  if (has_data) task.result_data = data;
  task.has_result = true;
  task.error_message = reader.sized<std::uint32_t>();
  task.traceback = reader.sized<std::uint32_t>();
  task.logs = reader.sized<std::uint32_t>();
  get_errors(reader, out.errors);
  task.error_history = &out.errors;
  if ((flags & kHasPlugin) != 0) task.plugin = reader.sized<std::uint16_t>();
}

}  // namespace

void encode_spec(const TaskSpec& spec, std::string& out) {
  const Requirements& needs = spec.requirements;
  std::size_t size = kEntryHeadBytes + 2 + spec.type.size() + 2 + spec.group.size() + 1 + 4 + 3 * 8 + 1 + 1 + 8 + 4 +
                     2 + needs.required_platform.size() + 2 + needs.required_role.size() + 2 + 2;
  for (const std::string& tag : needs.required_tags) size += 2 + tag.size();
  for (const auto& [name, amount] : needs.resources) size += 2 + name.size() + sizeof amount;
  ByteWriter writer = begin(out, size, kSpecEntry, 0, 0);
  writer.sized<std::uint16_t>(spec.type);
  writer.sized<std::uint16_t>(spec.group);
  writer.put(static_cast<std::uint8_t>(spec.priority));
  writer.put(needs.min_cpu_cores);
  writer.put(needs.min_memory_gb);
  writer.put(needs.min_storage_gb);
  writer.put(needs.timeout_seconds);
  writer.put(static_cast<std::uint8_t>((needs.gpu_required ? kGpu : 0) | (needs.internet_required ? kInternet : 0) |
                                       (needs.at_most_once ? kAtMostOnce : 0)));
  writer.put(static_cast<std::uint8_t>(needs.min_isolation));
  writer.put(std::uint64_t{0});  // kept for later
  writer.put(needs.max_retries);
  writer.sized<std::uint16_t>(needs.required_platform);
  writer.sized<std::uint16_t>(needs.required_role);
  writer.put(static_cast<std::uint16_t>(needs.required_tags.size()));
  for (const std::string& tag : needs.required_tags) writer.sized<std::uint16_t>(tag);
  writer.put(static_cast<std::uint16_t>(needs.resources.size()));
  for (const auto& [name, amount] : needs.resources) {
    writer.sized<std::uint16_t>(name);
    writer.put(amount);
  }
}

void encode_record(const Record& record, Position position, std::uint32_t spec_place, std::string& out) {
  switch (record.kind) {
    case Kind::Submitted: encode_submitted(record, position, spec_place, out); return;
    case Kind::Dispatched: encode_dispatched(record, position, out); return;
    case Kind::Retried:
    case Kind::Requeued: encode_retried(record, position, out); return;
    case Kind::Ended: encode_ended(record, position, out); return;
    case Kind::Forgotten: {
      ByteWriter writer =
          begin(out, kEntryHeadBytes + 16, static_cast<std::uint8_t>(Kind::Forgotten), position, record.of);
      put_id(writer, record.task.id);
      return;
    }
    case Kind::Device:
    case Kind::Settings: {
      const std::size_t size = kEntryHeadBytes + 2 + record.task.device_id.size() + 4 + record.device.size();
      ByteWriter writer = begin(out, size, static_cast<std::uint8_t>(record.kind), position, 0);
      writer.sized<std::uint16_t>(record.task.device_id);
      writer.sized<std::uint32_t>(record.device);
      return;
    }
  }
  RC_ASSERT(false);
}

std::optional<EntryHead> read_head(std::string_view bytes) {
  ByteReader reader(bytes);
  EntryHead head;
  head.size = reader.get<std::uint32_t>();
  head.type = reader.get<std::uint8_t>();
  head.position = reader.get<Position>();
  head.of = reader.get<Position>();
  if (!reader.ok() || head.size < kEntryHeadBytes || head.size > bytes.size()) return std::nullopt;
  const bool known = head.type == kSpecEntry || (head.type >= static_cast<std::uint8_t>(Kind::Submitted) &&
                                                 head.type <= static_cast<std::uint8_t>(Kind::Settings));
  if (!known) return std::nullopt;
  head.bytes = bytes.substr(0, head.size);
  return head;
}

std::uint32_t spec_place(const EntryHead& head) {
  return ByteReader(head.bytes.substr(kSpecPlaceOffset)).get<std::uint32_t>();
}

std::uint64_t id_prefix(const EntryHead& head) {
  return ByteReader(head.bytes.substr(std::min(head.bytes.size(), kSpecPlaceOffset + 4))).get<std::uint64_t>();
}

std::optional<TaskId> task_id(const EntryHead& head) {
  if (head.type == kSpecEntry || head.type >= static_cast<std::uint8_t>(Kind::Device)) return std::nullopt;
  const bool submitted = head.type == static_cast<std::uint8_t>(Kind::Submitted);
  ByteReader reader(head.bytes.substr(kEntryHeadBytes));
  if (submitted) reader.get<std::uint32_t>();
  const auto high = reader.get<std::uint64_t>();
  const TaskId id(high, reader.get<std::uint64_t>());
  return reader.ok() ? std::optional<TaskId>(id) : std::nullopt;
}

bool decode_spec(const EntryHead& head, TaskSpec& out) {
  ByteReader reader(head.bytes.substr(kEntryHeadBytes));
  out = {};
  out.type = reader.sized<std::uint16_t>();
  out.group = reader.sized<std::uint16_t>();
  const auto priority = reader.get<std::uint8_t>();
  if (priority < 1 || priority > kPriorityCount) reader.fail();
  out.priority = static_cast<Priority>(priority);
  Requirements& needs = out.requirements;
  needs.min_cpu_cores = reader.get<std::uint32_t>();
  needs.min_memory_gb = reader.get<double>();
  needs.min_storage_gb = reader.get<double>();
  needs.timeout_seconds = reader.get<double>();
  const auto flags = reader.get<std::uint8_t>();
  needs.gpu_required = (flags & kGpu) != 0;
  needs.internet_required = (flags & kInternet) != 0;
  needs.at_most_once = (flags & kAtMostOnce) != 0;
  const auto isolation = reader.get<std::uint8_t>();
  if (isolation > static_cast<std::uint8_t>(Isolation::Strict)) reader.fail();
  needs.min_isolation = static_cast<Isolation>(isolation);
  reader.get<std::uint64_t>();
  needs.max_retries = reader.get<std::uint32_t>();
  needs.required_platform = reader.sized<std::uint16_t>();
  needs.required_role = reader.sized<std::uint16_t>();
  const auto tags = reader.get<std::uint16_t>();
  for (std::uint16_t i = 0; i < tags && reader.ok(); ++i) {
    needs.required_tags.emplace_back(reader.sized<std::uint16_t>());
  }
  const auto resources = reader.get<std::uint16_t>();
  for (std::uint16_t i = 0; i < resources && reader.ok(); ++i) {
    std::string name(reader.sized<std::uint16_t>());
    needs.resources.emplace_back(std::move(name), reader.get<double>());
  }
  return head.type == kSpecEntry && reader.at_end();
}

bool decode_record(const EntryHead& head, const TaskSpec* spec, DecodedRecord& out) {
  if (head.type == kSpecEntry) return false;
  Record& record = out.record;
  record = {};
  record.kind = static_cast<Kind>(head.type);
  record.of = head.of;
  ByteReader reader(head.bytes.substr(kEntryHeadBytes));
  if (record.kind == Kind::Submitted) reader.get<std::uint32_t>();
  if (record.kind != Kind::Device && record.kind != Kind::Settings) {
    const auto high = reader.get<std::uint64_t>();
    record.task.id = TaskId(high, reader.get<std::uint64_t>());
    if ((record.of == 0) != (record.kind == Kind::Submitted)) return false;
  }
  switch (record.kind) {
    case Kind::Submitted:
      if (spec == nullptr) return false;
      record.task.spec = spec;
      record.task.status = TaskStatus::Queued;
      record.sequence = reader.get<std::uint64_t>();
      record.task.created_at = wall(reader.get<std::int64_t>());
      record.task.metadata = reader.sized<std::uint32_t>();
      record.task.payload = reader.sized<std::uint32_t>();
      break;
    case Kind::Dispatched:
      record.task.status = TaskStatus::Assigned;
      record.attempt = AttemptId(reader.get<std::uint64_t>());
      record.task.assigned_at = wall(reader.get<std::int64_t>());
      record.failures = reader.get<std::uint32_t>();
      record.lost = reader.get<std::uint32_t>();
      record.task.device_id = reader.sized<std::uint16_t>();
      break;
    case Kind::Retried:
    case Kind::Requeued:
      record.task.status = TaskStatus::Queued;
      record.failures = reader.get<std::uint32_t>();
      record.lost = reader.get<std::uint32_t>();
      record.due = wall(reader.get<std::int64_t>());
      record.task.checkpoint = reader.sized<std::uint32_t>();
      get_errors(reader, out.errors);
      record.task.error_history = &out.errors;
      break;
    case Kind::Ended: decode_ended(reader, out); break;
    case Kind::Forgotten: break;
    case Kind::Device:
    case Kind::Settings:
      record.task.device_id = reader.sized<std::uint16_t>();
      record.device = reader.sized<std::uint32_t>();
      break;
  }
  return reader.at_end();
}

}  // namespace retire::store
