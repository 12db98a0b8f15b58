#include "client/client.hpp"

#include "client/impl.hpp"
#include "common/model/limits.hpp"

namespace retire::client {
namespace {

constexpr std::size_t kSubmitBytesMax = std::size_t{30} << 20;  // leaves room for the rest of a message of 32 MiB
constexpr ByteView kNil("\xc0", 1);

}  // namespace

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::connect(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  if (const Status status = impl->connect(); !status.ok()) return status.error();
  return std::unique_ptr<Client>(new Client(std::move(impl)));
}

const Welcome& Client::main() const { return *impl_->core().welcome(); }

Result<std::vector<TaskId>> Client::submit(const std::vector<NewTask>& tasks, Duration timeout) {
  if (tasks.empty()) return std::vector<TaskId>();
  if (tasks.size() > kBatchItemsMax) {
    return Error{ErrorCode::TooLarge, std::to_string(tasks.size()) + " tasks in one batch; at most 10000 are allowed"};
  }
  protocol::SubmitBatch batch(false);
  std::vector<TaskId> ids;
  const TaskSpec* last = nullptr;
  std::uint32_t index = 0;
  for (const NewTask& task : tasks) {
    if (task.payload.size() > kPayloadBytesMax) {
      return Error{ErrorCode::TooLarge, "payload is " + std::to_string(task.payload.size()) +
                                            " bytes as msgpack; at most 16777216 are allowed"};
    }
    if (last == nullptr || !(*last == task.spec)) index = batch.add_spec(task.spec);
    last = &task.spec;
    ids.push_back(task.id ? *task.id : impl_->new_id());
    batch.add(ids.back(), index, task.payload, task.metadata);
    if (batch.bytes() > kSubmitBytesMax) {
      return Error{ErrorCode::TooLarge, "the batch is larger than 30 MiB; submit it in parts"};
    }
  }
  const std::uint64_t correlation = impl_->next_correlation();
  const Result<ByteView> body = impl_->call(correlation, batch.take(correlation), MessageType::Submitted, timeout, ids);
  if (!body.ok()) return body.error();
  return ids;
}

Result<std::vector<TaskResult>> Client::wait(const std::vector<TaskId>& ids, Duration timeout) {
  return impl_->wait(ids, timeout);
}

Result<std::vector<std::optional<std::string>>> Client::get(const std::vector<TaskId>& ids, bool payload, bool result,
                                                            Duration timeout) {
  Get get;
  get.ids = ids;
  get.payload = payload;
  get.result = result;
  const std::uint64_t correlation = impl_->next_correlation();
  std::string frame;
  protocol::encode(frame, correlation, get);
  const Result<ByteView> body = impl_->call(correlation, std::move(frame), MessageType::Tasks, timeout);
  if (!body.ok()) return body.error();
  Tasks tasks;
  if (const Status status = protocol::decode(body.value(), tasks); !status.ok()) return status.error();
  std::vector<std::optional<std::string>> out;
  for (const ByteView task : tasks.tasks) {
    out.push_back(task == kNil ? std::nullopt : std::optional<std::string>(task));
  }
  if (out.size() != ids.size()) return Error{ErrorCode::Malformed, "main answered for another number of tasks"};
  return out;
}

Result<TaskPage> Client::list(const List& query, Duration timeout) {
  const std::uint64_t correlation = impl_->next_correlation();
  std::string frame;
  protocol::encode(frame, correlation, query);
  const Result<ByteView> body = impl_->call(correlation, std::move(frame), MessageType::Tasks, timeout);
  if (!body.ok()) return body.error();
  Tasks tasks;
  if (const Status status = protocol::decode(body.value(), tasks); !status.ok()) return status.error();
  TaskPage page;
  for (const ByteView task : tasks.tasks) page.tasks.emplace_back(task);
  page.next_cursor = tasks.next_cursor;
  return page;
}

Result<std::vector<std::optional<bool>>> Client::cancel(const std::vector<TaskId>& ids, Duration timeout) {
  return impl_->each(ids, MessageType::Cancel, MessageType::Cancelled, timeout);
}

Result<std::vector<std::optional<bool>>> Client::retry(const std::vector<TaskId>& ids, Duration timeout) {
  return impl_->each(ids, MessageType::Retry, MessageType::Retried, timeout);
}

Status Client::control(const QueueControl& what, Duration timeout) { return impl_->control(what, timeout); }
Status Client::control(const DeviceControl& what, Duration timeout) { return impl_->control(what, timeout); }

Result<std::string> Client::why(const TaskId& id, Duration timeout) {
  Why why;
  why.id = id;
  return impl_->explain(why, timeout);
}

Result<std::string> Client::why(const TaskSpec& spec, Duration timeout) {
  Why why;
  why.spec = spec;
  return impl_->explain(why, timeout);
}

Result<std::string> Client::stats(Duration timeout) {
  const std::uint64_t correlation = impl_->next_correlation();
  std::string frame;
  protocol::encode_empty(frame, MessageType::Stats, correlation);
  return impl_->report(correlation, std::move(frame), MessageType::Statistics, "statistics", timeout);
}

Result<LogPage> Client::logs(const TaskId& id, std::uint64_t cursor, Duration timeout) {
  const std::uint64_t correlation = impl_->next_correlation();
  std::string frame;
  protocol::encode(frame, correlation, Logs{id, cursor});
  const Result<ByteView> body = impl_->call(correlation, std::move(frame), MessageType::LogLines, timeout);
  if (!body.ok()) return body.error();
  LogLines answer;
  if (const Status status = protocol::decode(body.value(), answer); !status.ok()) return status.error();
  return LogPage{answer.status, answer.attempt, std::string(answer.lines), answer.next, answer.missed};
}

Result<std::string> Client::devices(const std::string& device_id, Duration timeout) {
  const std::uint64_t correlation = impl_->next_correlation();
  std::string frame;
  protocol::encode(frame, correlation, Devices{device_id});
  return impl_->report(correlation, std::move(frame), MessageType::DeviceList, "devices", timeout);
}

TaskId Client::post(const TaskSpec& spec, ByteView payload, ByteView metadata, std::optional<TaskId> id) {
  return impl_->post(spec, payload, metadata, id);
}
void Client::flush() { impl_->flush(); }
Result<bool> Client::poll(Duration timeout, Events& events) { return impl_->poll(timeout, events); }
void Client::await(const std::vector<TaskId>& ids) { impl_->await(ids); }
void Client::forget(const std::vector<TaskId>& ids) { impl_->forget(ids); }
std::size_t Client::awaited() const { return impl_->core().awaited(); }
std::size_t Client::unacknowledged() const { return impl_->unacknowledged(); }
std::size_t Client::unacknowledged_bytes() const { return impl_->unacknowledged_bytes(); }
TaskId Client::new_id() { return impl_->new_id(); }

}  // namespace retire::client
