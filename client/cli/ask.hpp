// Questions to main, answered as the documents of the contract.
#pragma once

#include <optional>
#include <string>

#include "client/client.hpp"
#include "common/json/json.hpp"

namespace retire::cli {

// A check for flags that are task IDs, as Ask::id() takes them.
std::optional<std::string> must_be_task_id(const std::string& text);

class Ask {
 public:
  Ask(client::Client& client, Duration timeout) : client_(client), timeout_(timeout) {}

  // A task ID as people give it: the whole UUID, the beginning of one (4 or more characters, looked up among the newest
  // 1000 tasks), or "last". Errors: Invalid (no such thing, or several begin so), NotFound.
  Result<TaskId> id(const std::string& text);

  Result<json::Json> task(const TaskId& id);
  // {"tasks": […], "next_cursor": …}: the newest `query.limit`, which may be beyond what one page holds.
  Result<json::Json> tasks(List query, std::uint64_t limit);
  Result<json::Json> why(const TaskId& id);
  Result<client::LogPage> logs(const TaskId& id, std::uint64_t cursor);
  Result<json::Json> statistics();
  Result<json::Json> devices();  // a list
  Result<json::Json> device(const std::string& id);
  // {"task_id": …, "cancelled": bool}
  Result<json::Json> cancel(const TaskId& id);
  // {"task_id": …, "retried": bool}
  Result<json::Json> retry(const TaskId& id);
  // How a task with this spec would fare; nothing is submitted.
  Result<json::Json> why(const TaskSpec& spec);
  // {"device_id": …, "action": "drain" | "resume" | "remove"}
  Result<json::Json> control(const std::string& device, DeviceControl::Action action);
  // {"action": "pause" | "resume", "type": …}; an empty type (null) is the whole queue.
  Result<json::Json> control(const std::string& type, QueueControl::Action action);

 private:
  client::Client& client_;
  Duration timeout_;
};

}  // namespace retire::cli
