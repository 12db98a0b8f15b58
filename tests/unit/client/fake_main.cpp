#include "tests/unit/client/fake_main.hpp"

namespace retire::test {
namespace {

constexpr WallTime kStart{Duration(1'700'000'000'000'000)};

}  // namespace

FakeMain::FakeMain() {
  net::SocketOptions options;
  options.queue_messages_max = 1'000'000;  // one message a result: never full
  Result<net::Router> router = net::Router::bind(context_, {"127.0.0.1", 0}, options);
  RC_ASSERT(router.ok());
  router_.emplace(std::move(router).value());
  device_.device_id = "nas-1";
  device_.role = "storage";
  device_.platform = "linux";
  device_.arch = "x86_64";
  device_.cpu_count = 4;
  device_.memory_total_gb = 15.6;
  device_.slots = 4;
  device_.tags = {"attic"};
  device_.handlers = {"echo", "fail", "slow"};
  failure_logs_ = protocol::encode_log_lines({{LogLevel::Info, 1'000, "starting"}});
  thread_ = std::thread([this] { run(); });
}

FakeMain::~FakeMain() {
  stop_ = true;
  thread_.join();
}

std::size_t FakeMain::task_count() const {
  const std::lock_guard lock(mutex_);
  return tasks_.size();
}

std::vector<std::size_t> FakeMain::batch_sizes() const {
  const std::lock_guard lock(mutex_);
  return batch_sizes_;
}

void FakeMain::run() {
  net::Poller poller;
  poller.add(*router_);
  net::Frame frame;
  std::string peer;
  while (!stop_) {
    poller.wait(std::chrono::milliseconds(2));
    const std::lock_guard lock(mutex_);
    if (forget_sessions_.exchange(false)) sessions_.clear();
    if (forget_everything_.exchange(false)) {
      sessions_.clear();
      tasks_.clear();
      instance_ = InstanceId(instance_.high() + 1, 1);
    }
    while (router_->receive(peer, frame) == net::Received::Message) on_frame(peer, frame.bytes());
    if (!hold_results) finish_tasks();
  }
}

void FakeMain::on_frame(const std::string& peer, std::string_view bytes) {
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(bytes, correlation);
  if (!envelope.ok()) return refuse(peer, correlation, envelope.error().code, envelope.error().detail);
  const ByteView body = envelope.value().body;
  const MessageType type = envelope.value().type;
  if (type == MessageType::Hello) {
    ++hellos_;
    if (refuse_hello) return refuse(peer, correlation, ErrorCode::NotLetIn, "no credential; get a token");
    sessions_.insert(peer);
    Welcome welcome;
    welcome.instance = instance_;
    welcome.heartbeat = std::chrono::milliseconds(200);
    welcome.offline_after = std::chrono::milliseconds(600);
    welcome.payload_bytes_max = kPayloadBytesMax;
    std::string out;
    protocol::encode(out, correlation, welcome);
    return answer(peer, std::move(out));
  }
  if (!sessions_.contains(peer)) return refuse(peer, correlation, ErrorCode::HelloRequired, "say hello");
  switch (type) {
    case MessageType::Submit: return on_submit(peer, correlation, body);
    case MessageType::Wait: return on_wait(peer, correlation, body);
    case MessageType::Get: return on_get(peer, correlation, body);
    case MessageType::List: return on_list(peer, correlation, body);
    case MessageType::Cancel: return on_cancel(peer, correlation, body);
    case MessageType::Why: return on_why(peer, correlation, body);
    case MessageType::Devices: return on_devices(peer, correlation, body);
    case MessageType::Stats: return on_stats(peer, correlation);
    case MessageType::Heartbeat: {
      std::string out;
      protocol::encode_empty(out, MessageType::Heartbeat, correlation);
      return answer(peer, std::move(out));
    }
    default: return;
  }
}

void FakeMain::on_submit(const std::string& peer, std::uint64_t correlation, ByteView body) {
  ++submissions_;
  Submit submit;
  if (const Status status = protocol::decode(body, submit); !status.ok()) {
    return refuse(peer, correlation, status.error().code, status.error().detail);
  }
  if (busy_answers > 0) {
    --busy_answers;
    ErrorReply reply;
    reply.code = ErrorCode::Busy;
    reply.message = "too many tasks";
    reply.retry_after = std::chrono::milliseconds(5);
    std::string out;
    protocol::encode(out, correlation, reply);
    return answer(peer, std::move(out));
  }
  for (std::size_t i = 0; i < submit.tasks.size(); ++i) {
    const SubmitItem& item = submit.tasks[i];
    const auto known = tasks_.find(*item.id);
    if (known != tasks_.end() &&
        (known->second.payload != item.payload || known->second.spec != submit.specs[item.spec])) {
      return refuse(peer, correlation, ErrorCode::Conflict, "task ID " + item.id->text() + " is in use", i);
    }
  }
  Submitted submitted;
  submitted.count = submit.tasks.size();
  batch_sizes_.push_back(submit.tasks.size());
  for (std::size_t i = 0; i < submit.tasks.size(); ++i) {
    const SubmitItem& item = submit.tasks[i];
    const auto [at, fresh] = tasks_.try_emplace(*item.id);
    Task& task = at->second;
    if (!fresh) {
      submitted.known.push_back(i);
    } else {
      task.spec = submit.specs[item.spec];
      task.payload = item.payload;
      task.metadata = item.metadata;
      task.number = next_number_++;
      if (task.spec.type == "slow") task.status = TaskStatus::Running;
    }
    if (submit.notify) task.watchers.insert(peer);
  }
  std::string out;
  protocol::encode(out, correlation, submitted);
  answer(peer, std::move(out));
  if (!submit.notify) return;
  for (const SubmitItem& item : submit.tasks) {
    if (is_final(tasks_.at(*item.id).status)) push(peer, *item.id, tasks_.at(*item.id));
  }
}

void FakeMain::on_wait(const std::string& peer, std::uint64_t correlation, ByteView body) {
  TaskIds wait;
  TaskIds unknown;
  if (!protocol::decode_ids(body, "ids", wait).ok()) return;
  for (const TaskId& id : wait.ids) {
    const auto found = tasks_.find(id);
    if (found == tasks_.end()) {
      unknown.ids.push_back(id);
    } else {
      found->second.watchers.insert(peer);
    }
  }
  std::string out;
  protocol::encode_ids(out, MessageType::Waiting, correlation, unknown.ids);
  answer(peer, std::move(out));
  for (const TaskId& id : wait.ids) {
    const auto found = tasks_.find(id);
    if (found != tasks_.end() && is_final(found->second.status)) push(peer, id, found->second);
  }
}

void FakeMain::finish_tasks() {
  for (auto& [id, task] : tasks_) {
    if (is_final(task.status)) continue;
    if (task.spec.type == "echo") task.status = TaskStatus::Success;
    if (task.spec.type == "fail") task.status = TaskStatus::Failed;
    if (!is_final(task.status)) continue;
    for (const std::string& peer : task.watchers) push(peer, id, task);
  }
}

void FakeMain::push(const std::string& peer, const TaskId& id, const Task& task) {
  ResultItem item;
  item.id = id;
  item.status = task.status;
  item.device = 0;
  item.started_at = kStart + Duration(2);
  item.completed_at = kStart + Duration(3);
  item.run = Duration(1'500);
  if (task.status == TaskStatus::Success) item.data = task.payload;
  if (task.status == TaskStatus::Failed) {
    item.error_message = "it broke";
    item.logs = failure_logs_;
  }
  protocol::ResultsBatch batch;
  batch.add_device(device_.device_id);
  batch.add(item);
  answer(peer, batch.take(0));
}

TaskReport FakeMain::report(const TaskId& id, const Task& task, bool payload, bool result) const {
  TaskReport out;
  out.id = id;
  out.spec = &task.spec;
  if (payload) out.payload = task.payload;
  out.metadata = task.metadata;
  out.status = task.status;
  out.created_at = kStart;
  if (task.status == TaskStatus::Queued) out.reason = "no_handler";
  if (is_final(task.status) && result) {
    out.has_result = true;
    out.started_at = kStart + Duration(2);
    out.completed_at = kStart + Duration(3);
    out.device_id = device_.device_id;
    if (task.status == TaskStatus::Success) out.result_data = task.payload;
    if (task.status == TaskStatus::Failed) out.error_message = "it broke";
  }
  return out;
}

void FakeMain::on_get(const std::string& peer, std::uint64_t correlation, ByteView body) {
  Get get;
  if (!protocol::decode(body, get).ok()) return;
  std::vector<std::optional<TaskReport>> reports;
  for (const TaskId& id : get.ids) {
    const auto found = tasks_.find(id);
    reports.push_back(found == tasks_.end() ? std::nullopt
                                            : std::optional(report(id, found->second, get.payload, get.result)));
  }
  std::string out;
  protocol::encode_tasks(out, correlation, reports, std::nullopt);
  answer(peer, std::move(out));
}

void FakeMain::on_list(const std::string& peer, std::uint64_t correlation, ByteView body) {
  List list;
  if (const Status status = protocol::decode(body, list); !status.ok()) {
    return refuse(peer, correlation, status.error().code, status.error().detail);
  }
  std::map<std::uint64_t, TaskId, std::greater<>> newest;
  for (const auto& [id, task] : tasks_) {
    if (list.status && task.status != *list.status) continue;
    if (!list.type.empty() && task.spec.type != list.type) continue;
    if (list.cursor && task.number >= *list.cursor) continue;
    newest.emplace(task.number, id);
  }
  constexpr std::size_t kPage = 3;  // small, so that paging is tested
  std::vector<std::optional<TaskReport>> reports;
  std::optional<std::uint64_t> cursor;
  for (const auto& [number, id] : newest) {
    if (reports.size() == std::min<std::size_t>(list.limit, kPage)) {
      cursor = tasks_.at(*TaskId::parse(reports.back()->id.text())).number;
      break;
    }
    reports.push_back(report(id, tasks_.at(id), false, false));
  }
  std::string out;
  protocol::encode_tasks(out, correlation, reports, cursor);
  answer(peer, std::move(out));
}

void FakeMain::on_cancel(const std::string& peer, std::uint64_t correlation, ByteView body) {
  TaskIds cancel;
  if (!protocol::decode_ids(body, "ids", cancel).ok()) return;
  Cancelled cancelled;
  for (const TaskId& id : cancel.ids) {
    const auto found = tasks_.find(id);
    if (found == tasks_.end()) {
      cancelled.cancelled.push_back(std::nullopt);
      continue;
    }
    cancelled.cancelled.push_back(!is_final(found->second.status));
    if (is_final(found->second.status)) continue;
    found->second.status = TaskStatus::Cancelled;
    for (const std::string& watcher : found->second.watchers) push(watcher, id, found->second);
  }
  std::string out;
  protocol::encode(out, MessageType::Cancelled, correlation, cancelled);
  answer(peer, std::move(out));
}

void FakeMain::on_why(const std::string& peer, std::uint64_t correlation, ByteView body) {
  Why why;
  if (!protocol::decode(body, why).ok()) return;
  Explanation explanation;
  if (why.id) {
    const auto found = tasks_.find(*why.id);
    if (found == tasks_.end()) return refuse(peer, correlation, ErrorCode::NotFound, "no such task");
    explanation.id = *why.id;
    explanation.status = found->second.status;
  }
  explanation.reason = "no_device";
  explanation.position = 2;
  explanation.devices = {{"nas-1", "unmet", {{"min_memory_gb", "64", "15.6"}}, ""}};
  explanation.nearest = "nas-1 lacks memory";
  std::string out;
  protocol::encode(out, correlation, explanation);
  answer(peer, std::move(out));
}

void FakeMain::on_devices(const std::string& peer, std::uint64_t correlation, ByteView body) {
  Devices devices;
  if (!protocol::decode(body, devices).ok()) return;
  if (!devices.device_id.empty() && devices.device_id != device_.device_id) {
    return refuse(peer, correlation, ErrorCode::NotFound, "no such device");
  }
  DeviceReport one;
  one.capabilities = &device_;
  one.state = "online";
  one.load = 1;
  one.last_seen = kStart;
  one.connected = true;
  std::vector<DeviceReport> reports;
  if (has_devices) reports.push_back(one);
  std::string out;
  protocol::encode(out, correlation, reports);
  answer(peer, std::move(out));
}

void FakeMain::on_stats(const std::string& peer, std::uint64_t correlation) {
  ClusterStatistics statistics;
  statistics.online_devices = has_devices ? 1 : 0;
  statistics.total_devices = statistics.online_devices;
  statistics.total_capacity = 4;
  statistics.total_load = 1;
  statistics.total_tasks = tasks_.size();
  for (const auto& [id, task] : tasks_) {
    ++statistics.by_status.at(static_cast<std::size_t>(task.status));
    ++statistics.by_priority.at(static_cast<std::size_t>(task.spec.priority));
    ++statistics.by_type[task.spec.type];
  }
  statistics.uptime_seconds = 3'600;
  std::string out;
  protocol::encode(out, correlation, statistics);
  answer(peer, std::move(out));
}

void FakeMain::answer(const std::string& peer, std::string frame) {
  if (!mute) router_->send(peer, std::move(frame));
}

void FakeMain::refuse(const std::string& peer, std::uint64_t correlation, ErrorCode code, const std::string& message,
                      std::optional<std::uint64_t> index) {
  ErrorReply reply;
  reply.code = code;
  reply.message = message;
  reply.index = index;
  std::string out;
  protocol::encode(out, correlation, reply);
  answer(peer, std::move(out));
}

}  // namespace retire::test
