// What attempts tell before they end, and who asks for it: progress, logs, log_lines.
#include "common/protocol/codec.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {

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

void encode(std::string& bytes, std::uint64_t correlation, const Logs& message) {
  Packer out(bytes);
  pack_envelope(out, MessageType::Logs, correlation);
  out.map(2);
  out.text("id");
  out.uuid(message.id);
  field(out, "cursor", message.cursor);
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

}  // namespace retire::protocol
