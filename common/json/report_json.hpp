// What main says about tasks, devices and itself, as the JSON documents of the contract.
//
// All take msgpack as it came in a message (docs/protocol.md) and fail with Malformed if it is not that.
#pragma once

#include <string_view>

#include "common/json/json.hpp"
#include "common/model/messages.hpp"

namespace retire::json {

// Task: {task_id, task_type, payload, priority, requirements, metadata, group, status, reason, created_at,
// assigned_device_id, assigned_at, started_at, completed_at, retry_count, error_history, result}, and progress:
// {fraction, text, at} where a running attempt has told it. `payload` is null where main was not asked for it, `result`
// (a TaskResult) where the task is not final or main was not asked for it.
Result<Json> task_document(ByteView task_map);

// TaskResult: {task_id, status, result_data, error_message, error_traceback, execution_time_seconds, worker_device_id,
// started_at, completed_at, logs: [{time, level, message}], plugin}; `time` in seconds since the start of the attempt,
// `plugin` what ran it, "NAME VERSION sha256:HEX", or null. `device` is the name that item.device stands for.
Json result_document(const ResultItem& item, std::string_view device);

// Log lines as they come in messages: [{time, level, message}].
Json log_document(ByteView lines);

// The capability record plus state, load, last_seen, … of one device or of a list of them.
Result<Json> device_document(ByteView device_map);
Result<Json> devices_document(ByteView device_maps);

// {task_id, status, reason, position, devices: [{device_id, verdict, unmet: [{requirement, wanted, has}]}], nearest};
// wanted and has are values, not text.
Result<Json> explanation_document(ByteView explanation);

// {cluster_stats, queue_stats, scheduler_stats, device_stats}
Result<Json> statistics_document(ByteView statistics);

}  // namespace retire::json
