// Tasks as people write them: one JSON object, as for POST /tasks and for a line of `submit --file`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "common/model/task.hpp"

namespace retire::json {

struct TaskObject {
  TaskSpec spec;
  std::optional<TaskId> id;
  std::string payload;   // msgpack; an empty map if there was none
  std::string metadata;  // msgpack map; empty if there was none
};

// Reads {"task_type", "payload", "priority", "requirements", "metadata", "group", "task_id"}: `task_type` must be
// there, each other may be left out or (but for payload) be null. Whatever `out` held is replaced; its capacity is
// kept. The spec is normalized and validated, payload and metadata are within their limits. Errors: Invalid (not JSON,
// an unknown key, a wrong type or value) or TooLarge, naming the key and the value.
Status task_from_json(std::string_view text, TaskObject& out);

// Reads the requirements alone: an object with the keys of the contract. As above.
Status requirements_from_json(std::string_view text, Requirements& out);

}  // namespace retire::json
