// What clients ask for.
#include "broker/service/broker.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {
namespace {
constexpr std::size_t kLogAnswerBytes = std::size_t{1} << 20;
}

namespace {

constexpr const char* kLoading = "main has just started and is still loading what it kept; try again in a moment";
constexpr std::size_t kPausedTypesMax = 1'000;
constexpr Duration kLoadingRetry = std::chrono::milliseconds(100);

}  // namespace

bool Broker::handle_client(Session& session, const protocol::Envelope& envelope) {
  switch (envelope.type) {
    case MessageType::Submit: on_submit(session, envelope); return true;
    case MessageType::Wait: on_wait(session, envelope); return true;
    case MessageType::Forget: on_forget(session, envelope); return true;
    case MessageType::Get: on_get(session, envelope); return true;
    case MessageType::List: on_list(session, envelope); return true;
    case MessageType::Cancel: on_cancel(session, envelope); return true;
    case MessageType::Retry: on_retry(session, envelope); return true;
    case MessageType::Queue: on_queue(session, envelope); return true;
    case MessageType::Device: on_device(session, envelope); return true;
    case MessageType::Why: on_why(session, envelope); return true;
    case MessageType::Stats: on_stats(session, envelope); return true;
    case MessageType::Devices: on_devices(session, envelope); return true;
    case MessageType::Logs: on_logs(session, envelope); return true;
    case MessageType::Heartbeat: {
      std::string frame;
      protocol::encode(frame, envelope.correlation, Heartbeat{});
      reply(session, std::move(frame));
      return true;
    }
    case MessageType::Goodbye: close(session); return true;
    default: return false;
  }
}

void Broker::on_submit(Session& session, const protocol::Envelope& envelope) {
  if (const Status decoded = protocol::decode(envelope.body, submit_); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  if (!loaded()) {
    for (const SubmitItem& item : submit_.tasks) {
      if (item.id && still_loading(session, envelope.correlation, {*item.id})) return;
    }
  }
  if (const auto why = full()) {
    busy(session, envelope.correlation, *why, config_.scheduler.busy_retry_after);
    return;
  }
  auto outcome = scheduler_.submit(submit_, submit_.notify ? session.watcher : 0, now_, effects_);
  if (const auto* refused = std::get_if<core::BatchError>(&outcome)) {
    if (refused->error.code == ErrorCode::Busy) ++counters_.busy;
    std::string frame;
    protocol::encode(frame, envelope.correlation,
                     ErrorReply{refused->error.code, refused->error.detail, refused->index, {}, refused->retry_after});
    reply(session, std::move(frame), appended_);
    return;
  }
  const auto& accepted = std::get<core::SubmitOutcome>(outcome);
  carry_out();  // appends the records that the answer reveals

  Submitted answer;
  answer.count = accepted.tasks.size();
  answer.known = accepted.known;
  bool chosen = false;
  for (const SubmitItem& item : submit_.tasks) chosen = chosen || !item.id;
  if (chosen) {
    for (const core::TaskIndex task : accepted.tasks) answer.ids.push_back(scheduler_.task(task).id);
  }
  std::string frame;
  protocol::encode(frame, envelope.correlation, answer);
  reply(session, std::move(frame), appended_);
  if (!submit_.notify) return;
  for (const std::uint64_t i : accepted.known) watch(session, accepted.tasks[i]);
  read_results(session, std::exchange(to_read_, {}));
}

bool Broker::busy(Session& session, std::uint64_t correlation, const std::string& why, Duration retry_after) {
  ++counters_.busy;
  std::string frame;
  protocol::encode(frame, correlation, ErrorReply{ErrorCode::Busy, why, {}, {}, retry_after});
  reply(session, std::move(frame));
  return true;
}

// Why nothing more is taken now, whatever it is.
std::optional<std::string> Broker::full() const {
  if (store_.backlog_bytes() > config_.backlog_bytes_max) {
    return "main's disk is behind: " + std::to_string(store_.backlog_bytes()) +
           " bytes wait to be written; try again later";
  }
  if (const store::Space space = store_.space(); space.low) {
    return "main's disk is nearly full: " + std::to_string(space.free_bytes >> 20) +
           " MiB are free; free some space, or lower --disk-reserve";
  }
  return std::nullopt;
}

// True if the request was refused, since it asks about tasks of former runs that are not known yet.
bool Broker::still_loading(Session& session, std::uint64_t correlation, const std::vector<TaskId>& ids) {
  if (loaded()) return false;
  for (const TaskId& id : ids) {
    if (not_loaded(id)) return busy(session, correlation, kLoading, kLoadingRetry);
  }
  return false;
}

void Broker::watch(Session& session, core::TaskIndex task) {
  if (is_final(scheduler_.task(task).status)) {
    if (scheduler_.tasks().find_ending(task)->absent) {
      to_read_.push_back(scheduler_.task(task).id);
    } else {
      gather_result(session, task, nullptr);
    }
    return;
  }
  if (scheduler_.watch(task, session.watcher)) return;
  const auto [first, last] = more_watchers_.equal_range(task.value);
  for (auto at = first; at != last; ++at) {
    if (at->second == session.watcher) return;
  }
  more_watchers_.emplace(task.value, session.watcher);
}

void Broker::on_wait(Session& session, const protocol::Envelope& envelope) {
  if (const Status decoded = protocol::decode_ids(envelope.body, "ids", ids_); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  if (still_loading(session, envelope.correlation, ids_.ids)) return;
  std::vector<TaskId> unknown;
  std::vector<core::TaskIndex> known;
  for (const TaskId& id : ids_.ids) {
    if (const core::TaskIndex task = scheduler_.find(id)) {
      known.push_back(task);
    } else {
      unknown.push_back(id);
    }
  }
  std::string frame;
  protocol::encode_ids(frame, MessageType::Waiting, envelope.correlation, unknown);
  reply(session, std::move(frame), appended_);
  for (const core::TaskIndex task : known) watch(session, task);
  read_results(session, std::exchange(to_read_, {}));
}

void Broker::on_forget(Session& session, const protocol::Envelope& envelope) {
  if (const Status decoded = protocol::decode_ids(envelope.body, "ids", ids_); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  for (const TaskId& id : ids_.ids) {
    const core::TaskIndex task = scheduler_.find(id);
    if (!task) continue;
    if (scheduler_.task(task).watcher == session.watcher) scheduler_.unwatch(task);
    const auto [first, last] = more_watchers_.equal_range(task.value);
    for (auto at = first; at != last; ++at) {
      if (at->second != session.watcher) continue;
      more_watchers_.erase(at);
      break;
    }
  }
}

void Broker::on_get(Session& session, const protocol::Envelope& envelope) {
  Get request;
  if (const Status decoded = protocol::decode(envelope.body, request); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  if (still_loading(session, envelope.correlation, request.ids)) return;
  if (session.unread_bytes() > config_.outbox_bytes_max / 4) {
    busy(session, envelope.correlation, "this connection has not read what it asked for before; read it first",
         config_.scheduler.busy_retry_after);
    return;
  }
  std::size_t bytes = 0;
  bool absent = false;
  for (const TaskId& id : request.ids) {
    const core::TaskIndex task = scheduler_.find(id);
    if (!task) continue;
    const core::Payload& payload = scheduler_.task(task).payload;
    const core::Ending* ending = scheduler_.tasks().find_ending(task);
    if (request.payload) {
      bytes += payload.size();
      absent = absent || payload.is_absent();
    }
    if (request.result && ending != nullptr) {
      bytes += ending->stored_bytes;
      absent = absent || ending->absent;
    }
    if (bytes > kMessageBytesMax - (kMessageBytesMax / 8) && request.ids.size() > 1) {
      fail(
          session, envelope.correlation,
          {ErrorCode::TooLarge, "the tasks asked for do not fit into one message; ask for fewer, or without payloads"});
      return;
    }
  }
  if (!absent) {
    send_tasks(session, envelope.correlation, request, nullptr);
  } else if (!read_tasks(session, envelope.correlation, request)) {
    busy(session, envelope.correlation, "main is reading as much from its store as it may at a time; try again later",
         config_.scheduler.busy_retry_after);
  }
}

void Broker::on_list(Session& session, const protocol::Envelope& envelope) {
  List request;
  if (const Status decoded = protocol::decode(envelope.body, request); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  if (!loaded()) {
    busy(session, envelope.correlation, kLoading, kLoadingRetry);
    return;
  }
  std::optional<std::uint64_t> next_cursor;
  std::vector<std::optional<TaskReport>> reports;
  for (const core::TaskIndex task : scheduler_.list(request, next_cursor)) {
    reports.emplace_back(scheduler_.report(task, false, false));
  }
  std::string frame;
  protocol::encode_tasks(frame, envelope.correlation, reports, next_cursor);
  reply(session, std::move(frame), appended_);
}

void Broker::on_cancel(Session& session, const protocol::Envelope& envelope) {
  if (const Status decoded = protocol::decode_ids(envelope.body, "ids", ids_); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  if (scheduler_.loading() == core::Scheduler::Loading::Queue) {
    busy(session, envelope.correlation, kLoading, kLoadingRetry);
    return;
  }
  if (still_loading(session, envelope.correlation, ids_.ids)) return;
  Cancelled answer;
  for (const TaskId& id : ids_.ids) answer.cancelled.push_back(scheduler_.cancel(id, now_, effects_));
  carry_out();
  std::string frame;
  protocol::encode(frame, MessageType::Cancelled, envelope.correlation, answer);
  reply(session, std::move(frame), appended_);
}

void Broker::on_retry(Session& session, const protocol::Envelope& envelope) {
  if (const Status decoded = protocol::decode_ids(envelope.body, "ids", ids_); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  if (scheduler_.loading() == core::Scheduler::Loading::Queue) {
    busy(session, envelope.correlation, kLoading, kLoadingRetry);
    return;
  }
  if (still_loading(session, envelope.correlation, ids_.ids)) return;
  Cancelled answer;
  for (const TaskId& id : ids_.ids) answer.cancelled.push_back(scheduler_.retry(id, now_, effects_));
  carry_out();
  std::string frame;
  protocol::encode(frame, MessageType::Retried, envelope.correlation, answer);
  reply(session, std::move(frame), appended_);
}

void Broker::on_queue(Session& session, const protocol::Envelope& envelope) {
  QueueControl request;
  if (const Status decoded = protocol::decode(envelope.body, request); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  const bool pause = request.action == QueueControl::Action::Pause;
  if (pause && !request.type.empty() && !scheduler_.catalog().is_type_paused(request.type) &&
      scheduler_.catalog().paused_types().size() >= kPausedTypesMax) {
    fail(session, envelope.correlation,
         {ErrorCode::Invalid, std::to_string(kPausedTypesMax) + " types are paused, the most there may be; type " +
                                  request.type + " is not: resume others first, or pause the whole queue"});
    return;
  }
  logging::info("queue {} type={}", pause ? "paused" : "resumed", request.type.empty() ? "all" : request.type);
  if (pause) {
    scheduler_.pause(request.type, now_, effects_);
  } else {
    scheduler_.resume(request.type, now_, effects_);
  }
  append_pauses();
  carry_out();
  done(session, envelope.correlation);
}

void Broker::on_device(Session& session, const protocol::Envelope& envelope) {
  DeviceControl request;
  if (const Status decoded = protocol::decode(envelope.body, request); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  if (scheduler_.loading() == core::Scheduler::Loading::Queue) {
    busy(session, envelope.correlation, kLoading, kLoadingRetry);
    return;
  }
  const core::DeviceIndex device = scheduler_.find_device(request.device_id);
  if (!device) {
    fail(session, envelope.correlation, {ErrorCode::NotFound, "no device \"" + request.device_id + "\""});
    return;
  }
  switch (request.action) {
    case DeviceControl::Action::Drain:
      logging::info("device={} is drained by an administrator", request.device_id);
      scheduler_.drain_device(device, now_, effects_);
      break;
    case DeviceControl::Action::Resume:
      logging::info("device={} is resumed by an administrator", request.device_id);
      scheduler_.resume_device(device, now_, effects_);
      break;
    case DeviceControl::Action::Remove:
      if (const Status removed = scheduler_.remove_device(device, now_, effects_); !removed.ok()) {
        fail(session, envelope.correlation, removed.error());
        return;
      }
      logging::info("device={} is removed by an administrator", request.device_id);
      break;
  }
  carry_out();
  done(session, envelope.correlation);
}

void Broker::done(Session& session, std::uint64_t correlation) {
  std::string frame;
  protocol::encode_empty(frame, MessageType::Done, correlation);
  reply(session, std::move(frame), appended_);
}

void Broker::on_why(Session& session, const protocol::Envelope& envelope) {
  Why request;
  if (const Status decoded = protocol::decode(envelope.body, request); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  std::string frame;
  if (request.id) {
    if (still_loading(session, envelope.correlation, {*request.id})) return;
    const core::TaskIndex task = scheduler_.find(*request.id);
    if (!task) {
      fail(session, envelope.correlation, {ErrorCode::NotFound, "no task " + request.id->text()});
      return;
    }
    protocol::encode(frame, envelope.correlation, scheduler_.explain(task));
  } else {
    protocol::encode(frame, envelope.correlation, scheduler_.explain(*request.spec));
  }
  reply(session, std::move(frame), appended_);
}

void Broker::on_stats(Session& session, const protocol::Envelope& envelope) {
  if (const Status decoded = protocol::decode_empty(envelope.body); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  std::string frame;
  protocol::encode(frame, envelope.correlation, scheduler_.statistics(now_));
  reply(session, std::move(frame), appended_);
}

void Broker::on_devices(Session& session, const protocol::Envelope& envelope) {
  Devices request;
  if (const Status decoded = protocol::decode(envelope.body, request); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  const std::vector<DeviceReport> reports = scheduler_.device_reports(request.device_id);
  if (!request.device_id.empty() && reports.empty()) {
    fail(session, envelope.correlation, {ErrorCode::NotFound, "no device \"" + request.device_id + "\""});
    return;
  }
  std::string frame;
  protocol::encode(frame, envelope.correlation, reports);
  reply(session, std::move(frame), appended_);
}

void Broker::on_logs(Session& session, const protocol::Envelope& envelope) {
  Logs request;
  if (const Status decoded = protocol::decode(envelope.body, request); !decoded.ok()) {
    fail(session, envelope.correlation, decoded.error());
    return;
  }
  const core::TaskIndex task = scheduler_.find(request.id);
  if (!task) {
    fail(session, envelope.correlation, {ErrorCode::NotFound, "no task " + request.id.text()});
    return;
  }
  LogLines answer;
  answer.status = scheduler_.task(task).status;
  std::string lines;
  if (is_final(answer.status)) {  // its log is in its result
    answer.attempt = scheduler_.last_attempt(task);
    answer.next = request.cursor;
  } else {
    const core::LogPart part = scheduler_.log_after(task, request.cursor, kLogAnswerBytes);
    lines = protocol::encode_log_lines(part.lines);
    answer.attempt = part.attempt;
    answer.lines = lines;
    answer.next = part.next;
    answer.missed = part.missed;
  }
  std::string frame;
  protocol::encode(frame, envelope.correlation, answer);
  reply(session, std::move(frame), appended_);
}

}  // namespace retire::service
