#include "client/client.hpp"

namespace retire::client {

TaskResult TaskResult::copy(const ResultItem& item, std::string_view device) {
  TaskResult out;
  out.id = item.id;
  out.status = item.status;
  if (item.data) out.data = std::string(*item.data);
  out.device_id = device;
  out.started_at = item.started_at;
  out.completed_at = item.completed_at;
  out.run = item.run;
  out.error_message = item.error_message;
  out.traceback = item.traceback;
  out.logs = item.logs;
  out.plugin = item.plugin;
  return out;
}

ResultItem TaskResult::view() const {
  ResultItem out;
  out.id = id;
  out.status = status;
  if (data) out.data = ByteView(*data);
  out.started_at = started_at;
  out.completed_at = completed_at;
  out.run = run;
  out.error_message = error_message;
  out.traceback = traceback;
  out.logs = logs;
  out.plugin = plugin;
  return out;
}

}  // namespace retire::client
