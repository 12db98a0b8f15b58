// The outer array of every message, and what has nothing in it.
#include "common/protocol/codec.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"

namespace retire::protocol {
namespace {

constexpr std::size_t kMessageTypeBytesMax = 32;

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

Status decode_empty(ByteView body) {
  Reader in(body);
  Fields fields(in);
  while (fields.next()) fields.skip();
  return finish(in);
}

void encode_empty(std::string& bytes, MessageType type, std::uint64_t correlation) {
  Packer out(bytes);
  pack_envelope(out, type, correlation);
  out.map(0);
}

bool is_one_value(ByteView bytes, int nesting_max) {
  Reader in(bytes, nesting_max);
  in.skip();
  return !in.failed() && in.at_end();
}

}  // namespace retire::protocol
