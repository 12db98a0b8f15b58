// What clients hand in, and main's receipt: submit, submitted.
#include "common/protocol/codec.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"
#include "common/protocol/values.hpp"

namespace retire::protocol {

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

std::string encode_spec(const TaskSpec& spec) {
  std::string bytes;
  Packer out(bytes);
  pack_spec(out, spec);
  return bytes;
}

}  // namespace retire::protocol
