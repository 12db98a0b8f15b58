#include "client/cli/ask.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/json/report_json.hpp"
#include "common/model/limits.hpp"

namespace retire::cli {
namespace {

constexpr std::size_t kPrefixMin = 4;

Error no_task(const std::string& id) {
  return {ErrorCode::NotFound, "no task " + id + "; check the ID, or list tasks with retire-cluster task list"};
}

Error no_device(const std::string& id) {
  return {ErrorCode::NotFound, "no device \"" + id + "\"; list them with retire-cluster device list"};
}

bool is_prefix(const std::string& text) {
  return text.size() >= kPrefixMin && text.size() < 36 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '-';
         });
}

}  // namespace

std::optional<std::string> must_be_task_id(const std::string& text) {
  if (text == "last" || is_prefix(text) || TaskId::parse(text)) return std::nullopt;
  return "a UUID, the first 4 or more characters of one, or last";
}

Result<TaskId> Ask::id(const std::string& text) {
  if (const auto whole = TaskId::parse(text)) return *whole;
  const bool last = text == "last";
  if (!last && !is_prefix(text)) {
    return Error{ErrorCode::Invalid,
                 "task ID \"" + text + "\" must be a UUID, the first 4 or more characters of one, or last"};
  }
  const Result<json::Json> newest = tasks(List{}, last ? 1 : kListLimitMax);
  if (!newest.ok()) return newest.error();
  std::string wanted = text;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  std::vector<std::string> found;
  for (const json::Json& task : newest.value()["tasks"]) {
    const std::string one = task["task_id"].get<std::string>();
    if (last || one.starts_with(wanted)) found.push_back(one);
  }
  if (found.empty()) return no_task(last ? "at all" : "that begins with " + text + " among the newest 1000");
  if (found.size() > 1) {
    return Error{ErrorCode::Invalid, "task ID \"" + text + "\" is the beginning of " + std::to_string(found.size()) +
                                         " tasks (" + found[0] + ", " + found[1] + ", …); give more of it"};
  }
  return *TaskId::parse(found[0]);
}

Result<json::Json> Ask::task(const TaskId& id) {
  const auto maps = client_.get({id}, true, true, timeout_);
  if (!maps.ok()) return maps.error();
  if (!maps.value()[0]) return no_task(id.text());
  return json::task_document(*maps.value()[0]);
}

Result<json::Json> Ask::tasks(List query, std::uint64_t limit) {
  json::Json list = json::Json::array();
  json::Json cursor;
  do {
    query.limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(limit - list.size(), kListLimitMax));
    const Result<client::TaskPage> page = client_.list(query, timeout_);
    if (!page.ok()) return page.error();
    for (const std::string& map : page.value().tasks) {
      Result<json::Json> task = json::task_document(map);
      if (!task.ok()) return task.error();
      list.push_back(std::move(task).value());
    }
    query.cursor = page.value().next_cursor;
    cursor = query.cursor ? json::Json(*query.cursor) : json::Json();
  } while (query.cursor && list.size() < limit);
  json::Json out = json::Json::object();
  out["tasks"] = std::move(list);
  out["next_cursor"] = std::move(cursor);
  return out;
}

Result<json::Json> Ask::why(const TaskId& id) {
  const Result<std::string> answer = client_.why(id, timeout_);
  if (!answer.ok()) return answer.error().code == ErrorCode::NotFound ? no_task(id.text()) : answer.error();
  return json::explanation_document(answer.value());
}

Result<client::LogPage> Ask::logs(const TaskId& id, std::uint64_t cursor) {
  Result<client::LogPage> page = client_.logs(id, cursor, timeout_);
  if (!page.ok() && page.error().code == ErrorCode::NotFound) return no_task(id.text());
  return page;
}

Result<json::Json> Ask::statistics() {
  const Result<std::string> answer = client_.stats(timeout_);
  if (!answer.ok()) return answer.error();
  return json::statistics_document(answer.value());
}

Result<json::Json> Ask::devices() {
  const Result<std::string> answer = client_.devices("", timeout_);
  if (!answer.ok()) return answer.error();
  return json::devices_document(answer.value());
}

Result<json::Json> Ask::device(const std::string& id) {
  const Error unknown = no_device(id);
  if (!is_device_id(id)) return unknown;
  const Result<std::string> answer = client_.devices(id, timeout_);
  if (!answer.ok()) return answer.error().code == ErrorCode::NotFound ? unknown : answer.error();
  Result<json::Json> list = json::devices_document(answer.value());
  if (!list.ok()) return list;
  if (list.value().empty()) return unknown;
  return list.value()[0];
}

Result<json::Json> Ask::why(const TaskSpec& spec) {
  const Result<std::string> answer = client_.why(spec, timeout_);
  if (!answer.ok()) return answer.error();
  return json::explanation_document(answer.value());
}

Result<json::Json> Ask::retry(const TaskId& id) {
  const auto answer = client_.retry({id}, timeout_);
  if (!answer.ok()) return answer.error();
  if (!answer.value()[0]) return no_task(id.text());
  json::Json out = json::Json::object();
  out["task_id"] = id.text();
  out["retried"] = *answer.value()[0];
  return out;
}

Result<json::Json> Ask::control(const std::string& device, DeviceControl::Action action) {
  if (!is_device_id(device)) return no_device(device);
  const Status done = client_.control(DeviceControl{action, device}, timeout_);
  if (!done.ok()) return done.error().code == ErrorCode::NotFound ? no_device(device) : done.error();
  json::Json out = json::Json::object();
  out["device_id"] = device;
  out["action"] = action == DeviceControl::Action::Drain    ? "drain"
                  : action == DeviceControl::Action::Resume ? "resume"
                                                            : "remove";
  return out;
}

Result<json::Json> Ask::control(const std::string& type, QueueControl::Action action) {
  const Status done = client_.control(QueueControl{action, type}, timeout_);
  if (!done.ok()) return done.error();
  json::Json out = json::Json::object();
  out["action"] = action == QueueControl::Action::Pause ? "pause" : "resume";
  out["type"] = type.empty() ? json::Json() : json::Json(type);
  return out;
}

Result<json::Json> Ask::cancel(const TaskId& id) {
  const auto answer = client_.cancel({id}, timeout_);
  if (!answer.ok()) return answer.error();
  if (!answer.value()[0]) return no_task(id.text());
  json::Json out = json::Json::object();
  out["task_id"] = id.text();
  out["cancelled"] = *answer.value()[0];
  return out;
}

}  // namespace retire::cli
