#include "common/protocol/values.hpp"

#include <array>

namespace retire::protocol {

void read_texts(Reader& in, std::size_t count_max, std::vector<std::string>& out) {
  const std::uint32_t count = in.array(count_max);
  out.clear();
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    const std::string_view text = in.text(kWordBytesMax);
    if (text.empty() && !in.failed()) in.fail(ErrorCode::Invalid, "must not hold an empty text");
    out.emplace_back(text);
  }
  in.leave();
}

void read_attempts(Reader& in, std::size_t count_max, std::vector<AttemptId>& out) {
  const std::uint32_t count = in.array(count_max);
  out.clear();
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) out.push_back(in.attempt());
  in.leave();
}

void read_uuids(Reader& in, std::vector<TaskId>& out) {
  const ByteView bytes = in.binary(kBatchItemsMax * Uuid::kBytes);
  out.clear();
  if (bytes.size() % Uuid::kBytes != 0) {
    in.fail(ErrorCode::Malformed, "must be a bin of 16 bytes for each ID, got " + std::to_string(bytes.size()));
  } else {
    for (std::size_t i = 0; i < bytes.size(); i += Uuid::kBytes) out.push_back(Uuid::from_bytes(bytes.data() + i));
  }
}

std::string_view read_task_type(Reader& in) {
  const std::string_view type = in.text(kTaskTypeBytesMax);
  if (!in.failed() && !is_task_type(type)) {
    in.fail(ErrorCode::Invalid, "must be 1 to 64 characters of a-z 0-9 _ . -, got \"" + std::string(type) + "\"");
  }
  return type;
}

std::string_view read_device_id(Reader& in) {
  const std::string_view id = in.text(kDeviceIdBytesMax);
  if (!in.failed() && !is_device_id(id)) {
    in.fail(ErrorCode::Invalid, "must be 1 to 128 characters of A-Z a-z 0-9 _ . : -");
  }
  return id;
}

void read_resources(Reader& in, Resources& out) {
  const std::uint32_t count = in.map(kResourcesMax);
  out.clear();
  for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
    const std::string_view name = in.text(kWordBytesMax);
    for (const auto& [other, amount] : out) {
      if (other == name) in.fail(ErrorCode::Malformed, "a name stands twice");
    }
    const double amount = in.number();
    if (!in.failed() && (amount < 0 || amount > kQuantityMax)) {
      in.fail(ErrorCode::Invalid, "an amount must be from 0 to 1000000000");
    }
    if (!in.failed() && name.empty()) in.fail(ErrorCode::Invalid, "a name must not be empty");
    out.emplace_back(name, amount);
  }
  in.leave();
}

void read_requirements(Reader& in, Requirements& out) {
  out = Requirements{};
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("min_cpu_cores")) {
      out.min_cpu_cores = static_cast<std::uint32_t>(in.quantity(kCpuCoresMax));
    } else if (fields.is("min_memory_gb")) {
      out.min_memory_gb = in.number();
    } else if (fields.is("min_storage_gb")) {
      out.min_storage_gb = in.number();
    } else if (fields.is("gpu_required")) {
      out.gpu_required = in.boolean();
    } else if (fields.is("internet_required")) {
      out.internet_required = in.boolean();
    } else if (fields.is("required_platform")) {
      out.required_platform = in.text(kWordBytesMax);
    } else if (fields.is("required_role")) {
      out.required_role = in.text(kWordBytesMax);
    } else if (fields.is("required_tags")) {
      read_texts(in, kTagsMax, out.required_tags);
    } else if (fields.is("timeout_seconds")) {
      out.timeout_seconds = in.number();
    } else if (fields.is("max_retries")) {
      out.max_retries = static_cast<std::uint32_t>(in.quantity(kRetriesMax));
    } else if (fields.is("resources")) {
      read_resources(in, out.resources);
    } else if (fields.is("at_most_once")) {
      out.at_most_once = in.boolean();
    } else if (fields.is("min_isolation")) {
      const std::string_view name = in.text(kWordBytesMax);
      if (const auto level = parse_isolation(name)) {
        out.min_isolation = *level;
      } else {
        in.fail(ErrorCode::Invalid, "must be off, basic or strict, got \"" + std::string(name) + "\"");
      }
    } else {
      in.fail(ErrorCode::Invalid, "is not a requirement; see the list in docs/protocol.md");
    }
  }
  if (in.failed()) return;
  if (const Status status = normalize(out); !status.ok()) {
    in.fail(status.error().code, status.error().detail);
  }
}

void read_spec(Reader& in, TaskSpec& out) {
  const std::uint32_t count = in.array(SIZE_MAX);
  if (!in.failed() && count < 4) {
    in.fail(ErrorCode::Malformed, "a spec has 4 elements, got " + std::to_string(count));
  }
  if (in.failed()) return;
  in.name_field("task_type");
  out.type = read_task_type(in);
  in.name_field("priority");
  const std::uint64_t priority = in.integer();
  if (!in.failed() && (priority < 1 || priority > 4)) {
    in.fail(ErrorCode::Invalid, "must be 1 (low) to 4 (urgent), got " + std::to_string(priority));
  }
  out.priority = static_cast<Priority>(priority);
  in.name_field("requirements");
  read_requirements(in, out.requirements);
  in.name_field("group");
  out.group = in.text(kGroupBytesMax);
  skip_rest(in, count, 4);
  in.leave();
}

void read_capabilities(Reader& in, Capabilities& out) {
  out = Capabilities{};
  Fields fields(in);
  while (fields.next()) {
    if (fields.is("device_id")) {
      out.device_id = in.text(kDeviceIdBytesMax);
    } else if (fields.is("role")) {
      out.role = in.text(kWordBytesMax);
    } else if (fields.is("platform")) {
      out.platform = in.text(kWordBytesMax);
    } else if (fields.is("arch")) {
      out.arch = in.text(kWordBytesMax);
    } else if (fields.is("cpu_count")) {
      out.cpu_count = static_cast<std::uint32_t>(in.integer(kCpuCoresMax));
    } else if (fields.is("memory_total_gb")) {
      out.memory_total_gb = in.number();
    } else if (fields.is("storage_total_gb")) {
      out.storage_total_gb = in.number();
    } else if (fields.is("has_gpu")) {
      out.has_gpu = in.boolean();
    } else if (fields.is("has_internet")) {
      out.has_internet = in.boolean();
    } else if (fields.is("tags")) {
      read_texts(in, kTagsMax, out.tags);
    } else if (fields.is("handlers")) {
      read_texts(in, kTagsMax, out.handlers);
    } else if (fields.is("slots")) {
      out.slots = static_cast<std::uint32_t>(in.integer(kSlotsMax));
    } else if (fields.is("version")) {
      out.version = in.text(kWordBytesMax);
    } else if (fields.is("resources")) {
      read_resources(in, out.resources);
    } else if (fields.is("isolation")) {
      const auto level = parse_isolation(in.text(kWordBytesMax));
      if (!level && !in.failed()) in.fail(ErrorCode::Invalid, "must be off, basic or strict");
      out.isolation = level.value_or(Isolation::Any);
    } else if (fields.is("refused_plugins")) {
      const std::uint32_t count = in.array(kRefusedPluginsMax);
      for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
        out.refused_plugins.emplace_back(in.text(kErrorMessageBytesMax));
      }
      in.leave();
    } else if (fields.is("plugins")) {
      const std::uint32_t count = in.array(kPluginsListedMax);
      for (std::uint32_t i = 0; i < count && !in.failed(); ++i) {
        out.plugins.emplace_back(in.text(kErrorMessageBytesMax));
      }
      in.leave();
    } else {
      fields.skip();
    }
  }
  fields.require({"device_id", "role", "platform", "arch", "cpu_count", "memory_total_gb", "storage_total_gb",
                  "has_gpu", "has_internet", "tags", "handlers", "slots", "version"});
  if (in.failed()) return;
  if (const Status status = normalize(out); !status.ok()) in.fail(status.error().code, status.error().detail);
}

ByteView read_log_lines(Reader& in) {
  if (in.is_nil()) {
    in.nil();
    return {};
  }
  Reader lines = in;  // walks ahead, so that the bytes can be returned as they are
  const std::uint32_t count = lines.array(kLogLinesMax);
  std::size_t bytes = 0;
  for (std::uint32_t i = 0; i < count && !lines.failed(); ++i) {
    const std::uint32_t elements = lines.array(SIZE_MAX);
    if (!lines.failed() && elements < 3) lines.fail(ErrorCode::Malformed, "a log line has 3 elements");
    const std::uint64_t level = lines.integer();
    if (!lines.failed() && (level < 1 || level > 4)) lines.fail(ErrorCode::Invalid, "a log level is 1 to 4");
    lines.integer();
    bytes += lines.text(kLogLineBytesMax).size();
    skip_rest(lines, elements, 3);
    lines.leave();
  }
  if (!lines.failed() && bytes > kLogBytesMax) lines.fail(ErrorCode::TooLarge, "a log of more than 1048576 bytes");
  if (lines.failed()) {
    in = lines;
    return {};
  }
  const ByteView raw = in.skip();
  return count == 0 ? ByteView{} : raw;
}

WallTime read_time(Reader& in) {
  if (in.is_nil()) {
    in.nil();
    return {};
  }
  return WallTime(Duration(in.signed_integer()));
}

void pack_requirements(Packer& out, const Requirements& r, bool full) {
  const Requirements none;
  const std::array<bool, 13> there = {
      full || r.min_cpu_cores != none.min_cpu_cores,
      full || r.min_memory_gb > 0,
      full || r.min_storage_gb > 0,
      full || r.gpu_required,
      full || r.internet_required,
      full || !r.required_platform.empty(),
      full || !r.required_role.empty(),
      full || !r.required_tags.empty(),
      full || r.timeout_seconds != none.timeout_seconds,
      full || r.max_retries != none.max_retries,
      full || !r.resources.empty(),
      full || r.at_most_once,
      full || r.min_isolation != Isolation::Any,
  };
  std::size_t count = 0;
  for (const bool one : there) count += one ? 1 : 0;
  out.map(count);
  const auto key = [&](std::size_t i, std::string_view name) { return there.at(i) ? (out.text(name), true) : false; };
  if (key(0, "min_cpu_cores")) out.integer(r.min_cpu_cores);
  if (key(1, "min_memory_gb")) out.number(r.min_memory_gb);
  if (key(2, "min_storage_gb")) out.number(r.min_storage_gb);
  if (key(3, "gpu_required")) out.boolean(r.gpu_required);
  if (key(4, "internet_required")) out.boolean(r.internet_required);
  if (key(5, "required_platform")) out.text(r.required_platform);
  if (key(6, "required_role")) out.text(r.required_role);
  if (key(7, "required_tags")) out.texts(r.required_tags);
  if (key(8, "timeout_seconds")) out.number(r.timeout_seconds);
  if (key(9, "max_retries")) out.integer(r.max_retries);
  if (key(10, "resources")) {
    out.map(r.resources.size());
    for (const auto& [name, amount] : r.resources) {
      out.text(name);
      out.number(amount);
    }
  }
  if (key(11, "at_most_once")) out.boolean(r.at_most_once);
  if (key(12, "min_isolation")) out.text(to_string(r.min_isolation));
}

void pack_spec(Packer& out, const TaskSpec& spec) {
  out.array(4);
  out.text(spec.type);
  out.integer(static_cast<std::uint64_t>(spec.priority));
  pack_requirements(out, spec.requirements, false);
  out.text(spec.group);
}

std::size_t capability_field_count(const Capabilities& c) {
  return 13u + (c.resources.empty() ? 0 : 1) + (c.isolation == Isolation::Any ? 0 : 1) +
         (c.refused_plugins.empty() ? 0 : 1) + (c.plugins.empty() ? 0 : 1);
}

void pack_capability_fields(Packer& out, const Capabilities& c) {
  const auto text = [&](std::string_view key, std::string_view value) { out.text(key), out.text(value); };
  text("device_id", c.device_id);
  text("role", c.role);
  text("platform", c.platform);
  text("arch", c.arch);
  out.text("cpu_count"), out.integer(c.cpu_count);
  out.text("memory_total_gb"), out.number(c.memory_total_gb);
  out.text("storage_total_gb"), out.number(c.storage_total_gb);
  out.text("has_gpu"), out.boolean(c.has_gpu);
  out.text("has_internet"), out.boolean(c.has_internet);
  out.text("tags"), out.texts(c.tags);
  out.text("handlers"), out.texts(c.handlers);
  out.text("slots"), out.integer(c.slots);
  text("version", c.version);
  if (!c.resources.empty()) {
    out.text("resources");
    out.map(c.resources.size());
    for (const auto& [name, amount] : c.resources) out.text(name), out.number(amount);
  }
  if (c.isolation != Isolation::Any) text("isolation", to_string(c.isolation));
  if (!c.refused_plugins.empty()) out.text("refused_plugins"), out.texts(c.refused_plugins);
  if (!c.plugins.empty()) out.text("plugins"), out.texts(c.plugins);
}

void pack_capabilities(Packer& out, const Capabilities& capabilities) {
  out.map(capability_field_count(capabilities));
  pack_capability_fields(out, capabilities);
}

}  // namespace retire::protocol
