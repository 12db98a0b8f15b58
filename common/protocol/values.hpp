// The parts that several messages share. Private to common/protocol.
#pragma once

#include <string>
#include <vector>

#include "common/model/messages.hpp"
#include "common/protocol/packer.hpp"
#include "common/protocol/reading.hpp"

namespace retire::protocol {

void read_texts(Reader& in, std::size_t count_max, std::vector<std::string>& out);
void read_attempts(Reader& in, std::size_t count_max, std::vector<AttemptId>& out);
void read_uuids(Reader& in, std::vector<TaskId>& out);
std::string_view read_task_type(Reader& in);
std::string_view read_device_id(Reader& in);
void read_resources(Reader& in, Resources& out);
void read_requirements(Reader& in, Requirements& out);
void read_spec(Reader& in, TaskSpec& out);
void read_capabilities(Reader& in, Capabilities& out);
// Checks log lines and returns their bytes; empty for nil or an empty list.
ByteView read_log_lines(Reader& in);
WallTime read_time(Reader& in);
inline ByteView read_checkpoint(Reader& in) { return binary_or_nil(in, kCheckpointBytesMax).value_or(ByteView{}); }

// Every key when `full`, else those that differ from their defaults.
void pack_requirements(Packer& out, const Requirements& requirements, bool full);
void pack_spec(Packer& out, const TaskSpec& spec);
void pack_capability_fields(Packer& out, const Capabilities& capabilities);  // key and value pairs, no header
std::size_t capability_field_count(const Capabilities& capabilities);
void pack_capabilities(Packer& out, const Capabilities& capabilities);
inline void pack_logs(Packer& out, ByteView logs) { logs.empty() ? out.array(0) : out.raw(logs); }

}  // namespace retire::protocol
