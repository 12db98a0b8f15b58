// Work for workers: assign, and what is said of attempts by their numbers: started, recall, returned, stop.
#include "common/protocol/codec.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {

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

void encode_attempts(std::string& bytes, MessageType type, std::uint64_t correlation,
                     const std::vector<AttemptId>& attempts) {
  Packer out(bytes);
  pack_envelope(out, type, correlation);
  out.map(1);
  out.text("attempts");
  out.attempts(attempts);
}

}  // namespace retire::protocol
