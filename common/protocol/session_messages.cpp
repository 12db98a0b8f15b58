// What peers say of themselves and of their connection: hello, welcome, heartbeat, error, device_update.
#include "common/protocol/codec.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {
namespace {

// An error quotes what a peer sent; that must not break the one line that people and logs get.
std::string one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  return line;
}

}  // namespace

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

void encode(std::string& bytes, std::uint64_t correlation, const DeviceUpdate& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::DeviceUpdate, correlation);
  out.map(1);
  out.text("device");
  pack_capabilities(out, message.device);
}

Result<Capabilities> decode_capabilities(ByteView msgpack) {
  Reader in(msgpack);
  Capabilities out;
  read_capabilities(in, out);
  if (const Status status = finish(in); !status.ok()) return status.error();
  return out;
}

std::string encode_capabilities(const Capabilities& capabilities) {
  std::string bytes;
  Packer out(bytes);
  pack_capabilities(out, capabilities);
  return bytes;
}

}  // namespace retire::protocol
