// A task's log, as far as it has come, or followed to its end.
#pragma once

#include "client/cli/ask.hpp"
#include "client/cli/world.hpp"

namespace retire::cli {

// Prints what there is of it; with `follow` goes on until the task is final or the user interrupts. What was missed,
// and that another attempt begins, is said on err. `json`: one document {task_id, status, attempt, logs}; with `follow`
// an object {attempt, time, level, message} a line. Errors: NotFound, and those of the connection.
Status print_logs(const World& world, Ask& ask, const TaskId& id, bool follow, bool json);

}  // namespace retire::cli
