// Reading: the envelope and the bodies.
#include "common/protocol/codec.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {
namespace {

Status finish(Reader& in) {
  if (!in.failed() && !in.at_end()) in.fail(ErrorCode::Malformed, "bytes after the message");
  return in.status();
}

// An item of a batch: opens it, and fails when it is shorter than `least`.
std::uint32_t open_item(Reader& in, std::uint32_t least) {
  const std::uint32_t count = in.array(SIZE_MAX);
  if (!in.failed() && count < least) {
    in.fail(ErrorCode::Malformed,
            "an item has at least " + std::to_string(least) + " elements, got " + std::to_string(count));
  }
  return count;
}

// Names the item in a failure that happened inside it.
Error in_item(const Reader& in, std::string_view list, std::size_t index) {
  Error error = in.status().error();
  error.detail = std::string(list) + "[" + std::to_string(index) + "]: " + error.detail;
  return error;
}

template <class Item, class ReadItem>
std::optional<Error> read_items(Reader& in, std::string_view list, std::vector<Item>& out, ReadItem read_item) {
  const std::uint32_t count = in.array(kBatchItemsMax);
  out.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    read_item(out.emplace_back());
    if (in.failed()) return in_item(in, list, i);
  }
  in.leave();
  return std::nullopt;
}

std::optional<ByteView> binary_or_nil(Reader& in, std::size_t size_max) {
  if (in.is_nil()) {
    in.nil();
    return std::nullopt;
  }
  return in.binary(size_max);
}

std::string_view text_or_nil(Reader& in, std::size_t size_max) {
  if (in.is_nil()) {
    in.nil();
    return {};
  }
  return in.text(size_max);
}

// The tail that results and finished items share: error_message, traceback, logs.
template <class Item>
void read_error_tail(Reader& in, std::uint32_t count, std::uint32_t known, Item& item) {
  if (count > known) item.error_message = text_or_nil(in, kErrorMessageBytesMax);
  if (count > known + 1) item.traceback = text_or_nil(in, kTracebackBytesMax);
  if (count > known + 2) item.logs = read_log_lines(in);
}

ByteView read_checkpoint(Reader& in) { return binary_or_nil(in, kCheckpointBytesMax).value_or(ByteView{}); }

// What ran each item of a message: its place in the table, which may come after the items.
class PluginPlaces {
 public:
  void read_table(Reader& in) {
    const std::uint32_t count = in.array(kBatchItemsMax);
    for (std::uint32_t i = 0; i < count && !in.failed(); ++i) names_.push_back(in.text(kPluginIdentityBytesMax));
    in.leave();
  }
  // Of the next item; nothing if it ends before.
  void read_place(Reader& in, bool there) {
    std::uint32_t place = kLeftOut;
    if (there && in.is_nil()) {
      in.nil();
    } else if (there) {
      place = static_cast<std::uint32_t>(in.integer(kLeftOut - 1));
    }
    places_.push_back(place);
  }
  template <class Item>
  std::optional<Error> resolve(std::vector<Item>& items) const {
    for (std::size_t i = 0; i < items.size() && i < places_.size(); ++i) {
      items[i].plugin = {};
      if (places_[i] == kLeftOut && names_.empty()) continue;
      const std::size_t place = places_[i] == kLeftOut ? 0 : places_[i];
      if (place >= names_.size()) {
        return Error{ErrorCode::Invalid, "results[" + std::to_string(i) + "]: no such plugin index"};
      }
      items[i].plugin = names_[place];
    }
    return std::nullopt;
  }

 private:
  static constexpr std::uint32_t kLeftOut = UINT32_MAX;
  std::vector<std::string_view> names_;
  std::vector<std::uint32_t> places_;
};

constexpr std::size_t kMessageTypeBytesMax = 32;

void read_capped(Reader& in, std::uint32_t& out) { out = static_cast<std::uint32_t>(in.integer(UINT32_MAX)); }

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

Duration read_us(Reader& in) { return Duration(static_cast<std::int64_t>(in.integer(INT64_MAX))); }
Duration read_ms(Reader& in) { return Duration(static_cast<std::int64_t>(in.integer(INT64_MAX / 1000)) * 1000); }

}  // namespace

Result<Envelope> decode_envelope(ByteView frame, std::uint64_t& correlation) {
  correlation = 0;
  if (frame.size() > kMessageBytesMax) {
    return Error{ErrorCode::TooLarge, "the message is larger than " + std::to_string(kMessageBytesMax) + " bytes"};
  }
  Reader in(frame, kNestingMax + 1);
  const std::uint32_t count = in.array(4);
  if (in.failed() || count != 4) {
    return Error{ErrorCode::Malformed, "a message is a msgpack array of 4: version, type, correlation, body"};
  }
  in.name_field("version");
  const std::uint64_t version = in.integer();
  in.name_field("type");
  const std::string_view name = in.text(kMessageTypeBytesMax);
  in.name_field("correlation");
  const std::uint64_t number = in.integer();
  if (in.failed()) return in.status().error();
  correlation = number;
  if (version != kProtocolVersion) {
    return Error{ErrorCode::UnsupportedVersion, "version " + std::to_string(version) + " is not spoken here, only 1"};
  }
  const std::optional<MessageType> type = parse_message_type(name);
  if (!type) return Error{ErrorCode::UnknownType, "no message type \"" + std::string(name) + "\""};
  if (in.left() == 0) return Error{ErrorCode::Malformed, "body: cut short"};
  return Envelope{*type, correlation, frame.substr(frame.size() - in.left())};
}

Status decode(ByteView body, Hello& out) {
  out = Hello{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("peer")) {
      const std::string_view peer = in.text(kWordBytesMax);
      if (peer == "worker") {
        out.peer = PeerKind::Worker;
      } else if (peer != "client") {
        in.fail(ErrorCode::Invalid, "must be client or worker, got \"" + std::string(peer) + "\"");
      }
    } else if (fields.is("versions")) {
      const std::uint32_t count = in.array(SIZE_MAX);
      if (!in.failed() && count != 2) in.fail(ErrorCode::Malformed, "must be the lowest and the highest version");
      read_capped(in, out.version_min);
      read_capped(in, out.version_max);
      in.leave();
    } else if (fields.is("program")) {
      out.program = in.text(kProgramBytesMax);
    } else if (fields.is("instance")) {
      out.instance = in.uuid();
    } else if (fields.is("device")) {
      read_capabilities(in, out.device.emplace());
    } else if (fields.is("held")) {
      read_attempts(in, kHeldAttemptsMax, out.held);
    } else if (fields.is("draining")) {
      out.draining = in.boolean();
    } else if (fields.is("paused")) {
      out.paused = in.text(kPauseReasonBytesMax);
    } else {
      fields.skip();
    }
  }
  fields.require({"peer", "versions", "program", "instance"});
  if (out.peer == PeerKind::Worker) fields.require({"device", "held"});
  return finish(in);
}

Status decode(ByteView body, Welcome& out) {
  out = Welcome{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("version")) {
      read_capped(in, out.version);
    } else if (fields.is("program")) {
      out.program = in.text(kProgramBytesMax);
    } else if (fields.is("instance")) {
      out.instance = in.uuid();
    } else if (fields.is("epoch")) {
      out.epoch = in.integer();
    } else if (fields.is("durable")) {
      out.durable = in.boolean();
    } else if (fields.is("heartbeat_ms")) {
      out.heartbeat = read_ms(in);
    } else if (fields.is("offline_after_ms")) {
      out.offline_after = read_ms(in);
    } else if (fields.is("lease_ms")) {
      out.lease = read_ms(in);
    } else if (fields.is("message_bytes_max")) {
      out.message_bytes_max = in.integer();
    } else if (fields.is("payload_bytes_max")) {
      out.payload_bytes_max = in.integer();
    } else if (fields.is("result_bytes_max")) {
      out.result_bytes_max = in.integer();
    } else if (fields.is("abandon")) {
      read_attempts(in, kHeldAttemptsMax, out.abandon);
    } else {
      fields.skip();
    }
  }
  fields.require({"version", "program", "instance", "epoch", "durable", "heartbeat_ms", "offline_after_ms", "lease_ms",
                  "message_bytes_max", "payload_bytes_max", "result_bytes_max"});
  return finish(in);
}

Status decode(ByteView body, Heartbeat& out) {
  out.seen = 0;
  out.held.clear();
  out.load = 0;
  out.running = 0;
  out.paused.clear();
  out.from_worker = false;
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("seen")) {
      out.seen = in.integer();
      out.from_worker = true;
    } else if (fields.is("held")) {
      read_attempts(in, kHeldAttemptsMax, out.held);
      out.from_worker = true;
    } else if (fields.is("load")) {
      out.load = in.number();
    } else if (fields.is("running")) {
      read_capped(in, out.running);
    } else if (fields.is("paused")) {
      out.paused = in.text(kPauseReasonBytesMax);
    } else {
      fields.skip();
    }
  }
  if (out.from_worker) fields.require({"seen", "held", "load", "running"});
  return finish(in);
}

Status decode(ByteView body, ErrorReply& out) {
  out = ErrorReply{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("code")) {
      // A code of a newer main is still an error: what it means is in the message.
      out.code = parse_error_code(in.text(kWordBytesMax)).value_or(ErrorCode::Internal);
    } else if (fields.is("message")) {
      out.message = in.text(kErrorMessageBytesMax);
    } else if (fields.is("index")) {
      out.index = in.integer();
    } else if (fields.is("field")) {
      out.field = in.text(kWordBytesMax);
    } else if (fields.is("retry_after_ms")) {
      out.retry_after = read_ms(in);
    } else {
      fields.skip();
    }
  }
  fields.require({"code", "message"});
  return finish(in);
}

Status decode(ByteView body, Submit& out) {
  out.specs.clear();
  out.tasks.clear();
  out.notify = false;
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("specs")) {
      if (auto error = read_items(in, "specs", out.specs, [&](TaskSpec& spec) { read_spec(in, spec); })) return *error;
    } else if (fields.is("tasks")) {
      const auto read_task = [&](SubmitItem& item) {
        const std::uint32_t count = open_item(in, 3);
        in.name_field("task_id");
        if (in.is_nil()) {
          in.nil();
        } else {
          item.id = in.uuid();
        }
        in.name_field("spec");
        read_capped(in, item.spec);
        in.name_field("payload");
        item.payload = in.binary(kPayloadBytesMax);
        in.name_field("metadata");
        if (count > 3) item.metadata = binary_or_nil(in, kMetadataBytesMax).value_or(ByteView{});
        skip_rest(in, count, 4);
        in.leave();
      };
      if (auto error = read_items(in, "tasks", out.tasks, read_task)) return *error;
    } else if (fields.is("notify")) {
      out.notify = in.boolean();
    } else {
      fields.skip();
    }
  }
  fields.require({"specs", "tasks"});
  for (std::size_t i = 0; i < out.tasks.size() && !in.failed(); ++i) {
    if (out.tasks[i].spec >= out.specs.size()) {
      return Error{ErrorCode::Invalid, "tasks[" + std::to_string(i) + "]: spec " + std::to_string(out.tasks[i].spec) +
                                           " is not one of the " + std::to_string(out.specs.size()) + " specs"};
    }
  }
  return finish(in);
}

Status decode(ByteView body, Submitted& out) {
  out = Submitted{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("count")) {
      out.count = in.integer();
    } else if (fields.is("ids")) {
      read_uuids(in, out.ids);
    } else if (fields.is("known")) {
      const std::uint32_t count = in.array(kBatchItemsMax);
      for (std::uint32_t i = 0; i < count && !in.failed(); ++i) out.known.push_back(in.integer());
      in.leave();
    } else {
      fields.skip();
    }
  }
  fields.require({"count"});
  return finish(in);
}

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
      out.type = in.text(kTaskTypeBytesMax);
      if (!in.failed() && !is_task_type(out.type)) {
        in.fail(ErrorCode::Invalid, "must be 1 to 64 characters of a-z 0-9 _ . -, got \"" + out.type + "\"");
      }
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
      out.type = in.text(kTaskTypeBytesMax);
      if (!in.failed() && !is_task_type(out.type)) {
        in.fail(ErrorCode::Invalid, "must be 1 to 64 characters of a-z 0-9 _ . -, got \"" + out.type + "\"");
      }
    } else {
      fields.skip();
    }
  }
  fields.require({"action"});
  return finish(in);
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
      out.device_id = in.text(kDeviceIdBytesMax);
      if (!in.failed() && !is_device_id(out.device_id)) {
        in.fail(ErrorCode::Invalid, "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -");
      }
    } else {
      fields.skip();
    }
  }
  fields.require({"action", "device_id"});
  return finish(in);
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

Status decode(ByteView body, Devices& out) {
  out.device_id.clear();
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("device_id")) {
      out.device_id = in.text(kDeviceIdBytesMax);
      if (!in.failed() && !is_device_id(out.device_id)) {
        in.fail(ErrorCode::Invalid, "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -");
      }
    } else {
      fields.skip();
    }
  }
  return finish(in);
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

Status decode(ByteView body, Results& out) {
  out.devices.clear();
  out.results.clear();
  PluginPlaces plugins;
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("devices")) {
      const auto read_name = [&](std::string_view& name) {
        name = in.text(kDeviceIdBytesMax);
        if (!in.failed() && !is_device_id(name)) in.fail(ErrorCode::Invalid, "is no device ID");
      };
      if (auto error = read_items(in, "devices", out.devices, read_name)) return *error;
    } else if (fields.is("results")) {
      const auto read_result = [&](ResultItem& item) {
        const std::uint32_t count = open_item(in, 7);
        item.id = in.uuid();
        const std::uint64_t status = in.integer();
        if (!in.failed() && status >= kTaskStatusCount) {
          in.fail(ErrorCode::Invalid, "is no status: " + std::to_string(status));
        }
        item.status = static_cast<TaskStatus>(status);
        item.data = binary_or_nil(in, kResultBytesMax);
        if (in.is_nil()) {
          in.nil();
        } else {
          item.device = static_cast<std::uint32_t>(in.integer(UINT32_MAX));
        }
        item.started_at = read_time(in);
        item.completed_at = WallTime(Duration(in.signed_integer()));
        item.run = read_us(in);
        read_error_tail(in, count, 7, item);
        plugins.read_place(in, count > 10);
        skip_rest(in, count, 11);
        in.leave();
      };
      if (auto error = read_items(in, "results", out.results, read_result)) return *error;
    } else if (fields.is("plugins")) {
      plugins.read_table(in);
    } else {
      fields.skip();
    }
  }
  fields.require({"devices", "results"});
  for (std::size_t i = 0; i < out.results.size() && !in.failed(); ++i) {
    if (out.results[i].device && *out.results[i].device >= out.devices.size()) {
      return Error{ErrorCode::Invalid, "results[" + std::to_string(i) + "]: no such device index"};
    }
  }
  if (in.failed()) return finish(in);
  if (auto error = plugins.resolve(out.results)) return *error;
  return finish(in);
}

Status decode(ByteView body, Assign& out) {
  out.specs.clear();
  out.tasks.clear();
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("specs")) {
      const auto read_one = [&](AssignSpec& spec) {
        const std::uint32_t count = open_item(in, 4);
        spec.type = in.text(kTaskTypeBytesMax);
        spec.timeout = read_ms(in);
        const std::uint64_t priority = in.integer();
        if (!in.failed() && (priority < 1 || priority > 4)) in.fail(ErrorCode::Invalid, "a priority is 1 to 4");
        spec.priority = static_cast<Priority>(priority);
        spec.at_most_once = in.boolean();
        skip_rest(in, count, 4);
        in.leave();
      };
      if (auto error = read_items(in, "specs", out.specs, read_one)) return *error;
    } else if (fields.is("tasks")) {
      const auto read_task = [&](AssignItem& item) {
        const std::uint32_t count = open_item(in, 5);
        item.task = in.uuid();
        item.attempt = in.attempt();
        read_capped(in, item.spec);
        item.payload = in.binary(kPayloadBytesMax);
        read_capped(in, item.number);
        if (count > 5) item.checkpoint = read_checkpoint(in);
        skip_rest(in, count, 6);
        in.leave();
      };
      if (auto error = read_items(in, "tasks", out.tasks, read_task)) return *error;
    } else {
      fields.skip();
    }
  }
  fields.require({"specs", "tasks"});
  for (std::size_t i = 0; i < out.tasks.size() && !in.failed(); ++i) {
    if (out.tasks[i].spec >= out.specs.size()) {
      return Error{ErrorCode::Invalid, "tasks[" + std::to_string(i) + "]: no such spec"};
    }
  }
  return finish(in);
}

Status decode_attempts(ByteView body, AttemptIds& out) {
  out.attempts.clear();
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("attempts")) {
      read_attempts(in, kBatchItemsMax, out.attempts);
    } else {
      fields.skip();
    }
  }
  fields.require({"attempts"});
  return finish(in);
}

Status decode(ByteView body, Finished& out) {
  out.results.clear();
  PluginPlaces plugins;
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("results")) {
      const auto read_result = [&](FinishedItem& item) {
        const std::uint32_t count = open_item(in, 5);
        item.task = in.uuid();
        item.attempt = in.attempt();
        const std::uint64_t outcome = in.integer();
        if (!in.failed() && (outcome < 1 || outcome > 7)) {
          in.fail(ErrorCode::Invalid, "is no outcome: " + std::to_string(outcome));
        }
        item.outcome = static_cast<Outcome>(outcome);
        item.data = binary_or_nil(in, kResultBytesMax);
        item.run = read_us(in);
        read_error_tail(in, count, 5, item);
        if (count > 8) item.checkpoint = read_checkpoint(in);
        plugins.read_place(in, count > 9);
        skip_rest(in, count, 10);
        in.leave();
      };
      if (auto error = read_items(in, "results", out.results, read_result)) return *error;
    } else if (fields.is("plugins")) {
      plugins.read_table(in);
    } else {
      fields.skip();
    }
  }
  fields.require({"results"});
  if (in.failed()) return finish(in);
  if (auto error = plugins.resolve(out.results)) return *error;
  return finish(in);
}

Status decode(ByteView body, Progress& out) {
  out.attempts.clear();
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("attempts")) {
      const auto read_one = [&](ProgressItem& item) {
        const std::uint32_t count = open_item(in, 4);
        item.attempt = in.attempt();
        if (in.is_nil()) {
          in.nil();
        } else {
          const double fraction = in.number();
          if (!in.failed() && !(fraction >= 0 && fraction <= 1)) {
            in.fail(ErrorCode::Invalid, "a fraction is 0 to 1, got " + std::to_string(fraction));
          }
          item.fraction = fraction;
        }
        item.text = text_or_nil(in, kProgressTextBytesMax);
        item.first_line = in.integer(UINT32_MAX);
        if (count > 4) item.logs = read_log_lines(in);
        if (count > 5) item.checkpoint = read_checkpoint(in);
        skip_rest(in, count, 6);
        in.leave();
      };
      if (auto error = read_items(in, "attempts", out.attempts, read_one)) return *error;
    } else {
      fields.skip();
    }
  }
  fields.require({"attempts"});
  return finish(in);
}

Status decode(ByteView body, Logs& out) {
  out = Logs{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("id")) {
      out.id = in.uuid();
    } else if (fields.is("cursor")) {
      out.cursor = in.integer();
    } else {
      fields.skip();
    }
  }
  fields.require({"id"});
  return finish(in);
}

Status decode(ByteView body, LogLines& out) {
  out = LogLines{};
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("status")) {
      const std::optional<TaskStatus> status = parse_status(in.text(kWordBytesMax));
      if (!status && !in.failed()) in.fail(ErrorCode::Invalid, "is no status");
      out.status = status.value_or(TaskStatus::Queued);
    } else if (fields.is("attempt")) {
      read_capped(in, out.attempt);
    } else if (fields.is("lines")) {
      out.lines = read_log_lines(in);
    } else if (fields.is("next")) {
      out.next = in.integer();
    } else if (fields.is("missed")) {
      out.missed = in.integer();
    } else {
      fields.skip();
    }
  }
  fields.require({"status", "attempt", "lines", "next"});
  return finish(in);
}

Status decode(ByteView body, DeviceUpdate& out) {
  Reader in(body);
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("device")) {
      read_capabilities(in, out.device);
    } else {
      fields.skip();
    }
  }
  fields.require({"device"});
  return finish(in);
}

Status decode_empty(ByteView body) {
  Reader in(body);
  Fields fields(in);
  while (fields.next()) fields.skip();
  return finish(in);
}

Status decode_log_lines(ByteView msgpack, std::vector<LogLine>& out) {
  out.clear();
  if (msgpack.empty()) return ok_status();
  Reader in(msgpack);
  const std::uint32_t count = in.array(kLogLinesMax);
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    const std::uint32_t elements = in.array(SIZE_MAX);
    LogLine& line = out.emplace_back();
    line.level = static_cast<LogLevel>(in.integer(4));
    line.us_since_start = in.integer();
    line.text = in.text(kLogLineBytesMax);
    skip_rest(in, elements, 3);
    in.leave();
  }
  in.leave();
  return finish(in);
}

Result<Capabilities> decode_capabilities(ByteView msgpack) {
  Reader in(msgpack);
  Capabilities out;
  read_capabilities(in, out);
  if (const Status status = finish(in); !status.ok()) return status.error();
  return out;
}

bool is_one_value(ByteView bytes, int nesting_max) {
  Reader in(bytes, nesting_max);
  in.skip();
  return !in.failed() && in.at_end();
}

}  // namespace retire::protocol
