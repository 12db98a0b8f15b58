// Blocking calls: one request and its answer, or the results of tasks.
#include <algorithm>

#include "client/impl.hpp"

namespace retire::client {

Result<ByteView> Client::Impl::call(std::uint64_t correlation, std::string frame, MessageType wanted, Duration timeout,
                                    std::vector<TaskId> submits) {
  flush();
  const TimePoint start = now();
  waiting_for_ = correlation;
  answered_ = false;
  failure_.reset();
  if (submits.empty()) {
    core_.request(correlation, std::move(frame), after(start, timeout), start);
  } else {
    core_.submit(correlation, std::move(frame), std::move(submits), false, after(start, timeout), start);
  }
  while (!answered_ && !failure_) pump(Duration::max(), nullptr);
  waiting_for_ = 0;
  if (failure_) return *failure_;
  std::uint64_t number = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(answer_.bytes(), number);
  RC_ASSERT(envelope.ok());  // it was read before
  if (envelope.value().type != wanted) {
    return Error{ErrorCode::Internal, "main answered with " + std::string(to_string(envelope.value().type)) +
                                          " where " + std::string(to_string(wanted)) +
                                          " was due; its version may be another one"};
  }
  return envelope.value().body;
}

Result<std::string> Client::Impl::report(std::uint64_t correlation, std::string frame, MessageType wanted,
                                         std::string_view key, Duration timeout) {
  const Result<ByteView> body = call(correlation, std::move(frame), wanted, timeout);
  if (!body.ok()) return body.error();
  Report report;
  if (const Status status = protocol::decode_report(body.value(), key, report); !status.ok()) return status.error();
  return std::string(report.value);
}

Result<std::string> Client::Impl::explain(const Why& why, Duration timeout) {
  const std::uint64_t correlation = core_.next_correlation();
  std::string frame;
  protocol::encode(frame, correlation, why);
  return report(correlation, std::move(frame), MessageType::Explained, "explanation", timeout);
}

Result<std::vector<std::optional<bool>>> Client::Impl::each(const std::vector<TaskId>& ids, MessageType what,
                                                            MessageType answer, Duration timeout) {
  const std::uint64_t correlation = core_.next_correlation();
  std::string frame;
  protocol::encode_ids(frame, what, correlation, ids);
  const Result<ByteView> body = call(correlation, std::move(frame), answer, timeout);
  if (!body.ok()) return body.error();
  Cancelled done;
  if (const Status status = protocol::decode(body.value(), to_string(answer), done); !status.ok()) {
    return status.error();
  }
  if (done.cancelled.size() != ids.size()) {
    return Error{ErrorCode::Malformed, "main answered for another number of tasks"};
  }
  return std::move(done.cancelled);
}

Result<std::vector<TaskResult>> Client::Impl::wait(const std::vector<TaskId>& ids, Duration timeout) {
  flush();
  Collector collector;
  for (const TaskId& id : ids) collector.missing.insert(id);
  collector.results.reserve(collector.missing.size());
  collector_ = &collector;
  collect_kept();
  const TimePoint deadline = after(now(), timeout);
  core_.await(ids, now());
  Status status = ok_status();
  while (!collector.missing.empty() && status.ok()) {
    const TimePoint moment = now();
    if (core_.refused()) {
      status = *core_.refused();
    } else if (moment >= deadline) {
      status = still_running(collector, timeout);
    } else {
      pump(deadline == TimePoint::max() ? Duration::max() : deadline - moment, nullptr);
      status = check_lost(collector);
    }
  }
  collector_ = nullptr;
  if (!status.ok()) {
    forget(ids);
    return status.error();
  }
  std::sort(collector.results.begin(), collector.results.end(),
            [](const TaskResult& a, const TaskResult& b) { return a.id < b.id; });
  std::vector<TaskResult> out;
  out.reserve(ids.size());
  for (const TaskId& id : ids) {
    out.push_back(*std::lower_bound(collector.results.begin(), collector.results.end(), id,
                                    [](const TaskResult& result, const TaskId& wanted) { return result.id < wanted; }));
  }
  return out;
}

Error Client::Impl::still_running(const Collector& collector, Duration timeout) const {
  const TaskId& first = *collector.missing.begin();
  const std::string which = collector.missing.size() == 1
                                ? "task " + first.text() + " is"
                                : std::to_string(collector.missing.size()) + " tasks (" + first.text() + ", …) are";
  if (!core_.ready())
    return {ErrorCode::Unreachable,
            "main went away and did not come back in time; " + which + " not known to have ended"};
  return {ErrorCode::TimedOut, which + " not final after " + seconds_text(timeout) + " s; it goes on, wait longer"};
}

Status Client::Impl::check_lost(const Collector& collector) {
  if (!core_.has_lost()) return ok_status();
  std::optional<TaskId> mine;
  for (const TaskId& task : core_.take_lost()) {
    if (collector.missing.contains(task)) {
      mine = task;
    } else {
      lost_.push_back(task);
    }
  }
  if (!mine) return ok_status();
  return Error{ErrorCode::NotFound,
               "main does not know task " + mine->text() +
                   "; check the ID (a main that keeps nothing forgets its tasks when it restarts)"};
}

bool Client::Impl::collect(ByteView body) {
  if (!protocol::decode(body, results_).ok()) return false;
  bool others = false;
  for (const ResultItem& item : results_.results) {
    if (collector_->missing.erase(item.id) > 0) {
      core_.on_result(item.id);
      collector_->results.push_back(TaskResult::copy(item, device_of(item)));
    } else {
      others = others || core_.is_awaited(item.id);
    }
  }
  return others;
}

void Client::Impl::collect_kept() {
  for (const net::Frame& frame : kept_frames_) {
    std::uint64_t correlation = 0;
    const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame.bytes(), correlation);
    if (envelope.ok()) collect(envelope.value().body);  // what is collected is not awaited, so not told again
  }
}

}  // namespace retire::client
