#include "client/client.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <random>
#include <set>

#include "client/core/core.hpp"
#include "common/base/rng.hpp"
#include "common/model/limits.hpp"
#include "common/net/socket.hpp"
#include "common/protocol/codec.hpp"

namespace retire::client {
namespace {

constexpr std::size_t kBatchTasks = 512;
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
constexpr std::size_t kSubmitBytesMax = std::size_t{30} << 20;  // leaves room for the rest of a message of 32 MiB
constexpr int kFramesAtOnce = 64;                               // received before time is looked at again
constexpr Duration kRetrySend = std::chrono::milliseconds(2);   // the socket does not tell when it takes more
constexpr ByteView kNil("\xc0", 1);
constexpr Duration kRetryConnect = std::chrono::milliseconds(10);

std::uint64_t random_seed() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

TimePoint now() { return SystemClock::now().monotonic; }

// Without overflow for "as long as it takes".
TimePoint after(TimePoint from, Duration timeout) {
  return timeout >= TimePoint::max() - from ? TimePoint::max() : from + timeout;
}

net::SocketOptions socket_options() {
  net::SocketOptions options;
  options.linger = std::chrono::milliseconds(200);
  return options;
}

}  // namespace

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

class Client::Impl {
 public:
  explicit Impl(Options options)
      : options_(std::move(options)),
        ids_high_(random_seed()),
        ids_low_(random_seed()),
        core_({options_.program + " " RC_VERSION, new_id()}, random_seed(), now()),
        batch_(options_.notify) {}

  Status connect() {
    if (Status status = open(); !status.ok()) return status;
    const TimePoint deadline = after(now(), options_.connect_timeout);
    while (!core_.ready()) {
      if (core_.refused()) return *core_.refused();
      const TimePoint moment = now();
      if (moment >= deadline) return unreachable();
      pump(deadline - moment, nullptr);
    }
    return ok_status();
  }

  ~Impl() {
    if (!dealer_ || !core_.ready()) return;
    std::string frame;
    protocol::encode_empty(frame, MessageType::Goodbye, 0);
    dealer_->send(std::move(frame));
  }

  TaskId new_id() {
    // Two generators: one has 2^64 states, and two clients that meet in it would choose the same IDs.
    const std::uint64_t high = ids_high_.next();
    return TaskId::random(high, ids_low_.next());
  }

  const Core& core() const { return core_; }
  std::size_t unacknowledged() const { return unacknowledged_ + batch_ids_.size(); }
  std::size_t unacknowledged_bytes() const { return unacknowledged_bytes_ + batch_.bytes(); }
  const Options& options() const { return options_; }
  std::uint64_t next_correlation() { return core_.next_correlation(); }

  // --- Requests.

  // One of the answers for people's programs, which are not looked into here.
  Result<std::string> report(std::uint64_t correlation, std::string frame, MessageType wanted, std::string_view key,
                             Duration timeout) {
    const Result<ByteView> body = call(correlation, std::move(frame), wanted, timeout);
    if (!body.ok()) return body.error();
    Report report;
    if (const Status status = protocol::decode_report(body.value(), key, report); !status.ok()) return status.error();
    return std::string(report.value);
  }

  Result<std::string> explain(const Why& why, Duration timeout) {
    const std::uint64_t correlation = core_.next_correlation();
    std::string frame;
    protocol::encode(frame, correlation, why);
    return report(correlation, std::move(frame), MessageType::Explained, "explanation", timeout);
  }

  // Asks for something to be done to each of the tasks.
  Result<std::vector<std::optional<bool>>> each(const std::vector<TaskId>& ids, MessageType what, MessageType answer,
                                                Duration timeout) {
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

  template <class Control>
  Status control(const Control& what, Duration timeout) {
    const std::uint64_t correlation = core_.next_correlation();
    std::string frame;
    protocol::encode(frame, correlation, what);
    const Result<ByteView> body = call(correlation, std::move(frame), MessageType::Done, timeout);
    if (!body.ok()) return body.error();
    return ok_status();
  }

  // Sends `frame` and waits for its answer, which is then in `answer_`. Returns its body.
  Result<ByteView> call(std::uint64_t correlation, std::string frame, MessageType wanted, Duration timeout,
                        std::vector<TaskId> submits = {}) {
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

  Result<std::vector<TaskResult>> wait(const std::vector<TaskId>& ids, Duration timeout) {
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
        status = still_running(collector, to_seconds(timeout));
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
      out.push_back(
          *std::lower_bound(collector.results.begin(), collector.results.end(), id,
                            [](const TaskResult& result, const TaskId& wanted) { return result.id < wanted; }));
    }
    return out;
  }

  TaskId post(const TaskSpec& spec, ByteView payload, ByteView metadata, std::optional<TaskId> id) {
    if (batch_.count() > 0 && batch_.bytes() + payload.size() + metadata.size() > kBatchBytes) flush();
    const TaskId task = id ? *id : new_id();
    batch_.add(task, spec_index(spec), payload, metadata);
    batch_ids_.push_back(task);
    if (batch_.count() >= kBatchTasks) flush();
    return task;
  }

  void flush() {
    if (batch_.count() == 0) return;
    const std::uint64_t correlation = core_.next_correlation();
    std::string frame = batch_.take(correlation);
    batch_specs_.clear();
    unacknowledged_ += batch_ids_.size();
    unacknowledged_bytes_ += frame.size();
    std::vector<TaskId> ids;
    ids.reserve(kBatchTasks);
    ids.swap(batch_ids_);
    const TimePoint moment = now();
    core_.submit(correlation, std::move(frame), std::move(ids), options_.notify, after(moment, options_.submit_timeout),
                 moment);
    send();
  }

  Result<bool> poll(Duration timeout, Events& events) {
    flush();
    told_ = false;
    tell_kept(events);
    pump(told_ ? Duration::zero() : timeout, &events);
    if (core_.refused()) return *core_.refused();
    return told_;
  }

  void await(const std::vector<TaskId>& ids) { core_.await(ids, now()), send(); }
  void forget(const std::vector<TaskId>& ids) { core_.forget(ids, now()), send(); }

 private:
  // A batch that was accepted, or refused with `error`.
  struct Ended {
    std::vector<TaskId> tasks;
    std::size_t bytes = 0;
    std::optional<Error> error;
    std::optional<std::uint64_t> index;
  };
  // What a blocking wait() has got so far.
  struct Collector {
    std::set<TaskId> missing;
    std::vector<TaskResult> results;
  };

  Error still_running(const Collector& collector, double seconds) const {
    const TaskId& first = *collector.missing.begin();
    const std::string which = collector.missing.size() == 1
                                  ? "task " + first.text() + " is"
                                  : std::to_string(collector.missing.size()) + " tasks (" + first.text() + ", …) are";
    if (!core_.ready())
      return {ErrorCode::Unreachable,
              "main went away and did not come back in time; " + which + " not known to have ended"};
    return {ErrorCode::TimedOut, which + " not final after " + number(seconds) + " s; it goes on, wait longer"};
  }

  // Tasks that main does not know: an error if the wait is for one of them; the others are told by poll().
  Status check_lost(const Collector& collector) {
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

  // Takes what the wait is for out of a `results` message. True if something else is in it, too.
  bool collect(ByteView body) {
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

  void collect_kept() {
    for (const net::Frame& frame : kept_frames_) {
      std::uint64_t correlation = 0;
      const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame.bytes(), correlation);
      if (envelope.ok()) collect(envelope.value().body);  // what is collected is not awaited, so not told again
    }
  }

  std::string_view device_of(const ResultItem& item) const {
    return item.device ? results_.devices[*item.device] : std::string_view();
  }

  static std::string number(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%g", value);
    return text.data();
  }

  Error unreachable() const {
    return {ErrorCode::Unreachable, "main not reached at " + options_.address.text() + " within " +
                                        number(to_seconds(options_.connect_timeout)) +
                                        " s; is retire-cluster-main running there? Check host and port, or give it "
                                        "longer with --connect-timeout"};
  }

  Status open() {
    Result<net::Dealer> dealer = net::Dealer::connect(context_, options_.address, socket_options());
    if (!dealer.ok()) return dealer.error();
    dealer_.emplace(std::move(dealer).value());
    poller_.clear();
    poller_.add(*dealer_);
    return ok_status();
  }

  // The index of an equal spec in the open batch.
  std::uint32_t spec_index(const TaskSpec& spec) {
    constexpr std::size_t kLookBack = 8;
    const std::size_t count = batch_specs_.size();
    for (std::size_t i = 0; i < std::min(count, kLookBack); ++i) {
      if (batch_specs_[count - 1 - i].second == spec) return batch_specs_[count - 1 - i].first;
    }
    const std::uint32_t index = batch_.add_spec(spec);
    batch_specs_.emplace_back(index, spec);
    return index;
  }

  void send() {
    while (core_.has_frame()) {
      std::string frame = core_.take_frame();
      // The socket takes the bytes only if it can send them; what it does not take is sent later.
      if (dealer_->send(std::move(frame)) == net::Sent::Yes) continue;
      core_.put_back(std::move(frame));
      return;
    }
  }

  // One turn: time, sending, receiving. Waits up to `timeout` if there is nothing to receive.
  void pump(Duration timeout, Events* events) {
    TimePoint moment = now();
    core_.on_time(moment);
    if (core_.take_reconnect()) {
      dealer_.reset();
      const Status status = open();
      RC_ASSERT(status.ok());  // the address was fine the first time
    }
    send();
    settle(events);
    if (!receive(events, moment)) {
      Duration pause = std::min(timeout, core_.next_time() == TimePoint::max() ? Duration(std::chrono::seconds(60))
                                                                               : core_.next_time() - now());
      if (core_.has_frame()) pause = std::min(pause, core_.ready() ? kRetrySend : kRetryConnect);
      const bool done = (waiting_for_ != 0 && (answered_ || failure_)) || (events != nullptr && told_);
      if (!done && pause > Duration::zero() && poller_.wait(pause)) {
        moment = now();
        receive(events, moment);
      }
    }
    send();
    settle(events);
  }

  bool receive(Events* events, TimePoint moment) {
    bool any = false;
    for (int i = 0; i < kFramesAtOnce; ++i) {
      const net::Received received = dealer_->receive(frame_);
      if (received == net::Received::Nothing) break;
      any = true;
      if (received == net::Received::Message) on_frame(events, moment);
    }
    return any;
  }

  void on_frame(Events* events, TimePoint moment) {
    std::uint64_t correlation = 0;
    const Result<protocol::Envelope> read = protocol::decode_envelope(frame_.bytes(), correlation);
    if (!read.ok()) return;  // not main, or a newer one that says what we did not ask for
    core_.on_heard(moment);
    const protocol::Envelope& envelope = read.value();
    switch (envelope.type) {
      case MessageType::Welcome:
        if (Welcome welcome; protocol::decode(envelope.body, welcome).ok()) {
          core_.on_welcome(correlation, welcome, moment);
        }
        return;
      case MessageType::Heartbeat: return;
      case MessageType::Error:
        if (ErrorReply error; protocol::decode(envelope.body, error).ok()) core_.on_error(correlation, error, moment);
        return;
      case MessageType::Results:
        if (events == nullptr) {
          if (collector_ != nullptr && !collect(envelope.body)) return;
          kept_frames_.push_back(std::move(frame_));
          frame_ = net::Frame();
        } else {
          tell_results(envelope.body, *events);
        }
        return;
      case MessageType::Waiting:
        if (core_.on_answer(correlation, moment) && protocol::decode_ids(envelope.body, "unknown", unknown_).ok()) {
          core_.on_waiting(unknown_.ids);
        }
        return;
      default: on_answer(correlation, moment); return;
    }
  }

  void on_answer(std::uint64_t correlation, TimePoint moment) {
    std::optional<Core::Request> request = core_.on_answer(correlation, moment);
    if (!request) return;
    if (correlation == waiting_for_) {
      answer_ = std::exchange(frame_, net::Frame());
      answered_ = true;
      return;
    }
    ended_.push_back({std::move(request->tasks), request->frame.size(), std::nullopt, std::nullopt});
  }

  // What ended since the last time: of the call that waits, or of posted batches, which are told or kept.
  void settle(Events* events) {
    if (core_.has_failed()) {
      for (Core::Failed& failed : core_.take_failed()) {
        if (failed.correlation == waiting_for_) {
          failure_ = std::move(failed.error);
        } else {
          salvage(failed);
          ended_.push_back(
              {std::move(failed.request.tasks), failed.request.frame.size(), std::move(failed.error), failed.index});
        }
      }
    }
    if (events == nullptr) return;
    tell_ended(*events);
    if (!core_.has_lost() && lost_.empty()) return;
    std::vector<TaskId> lost = core_.take_lost();
    lost.insert(lost.end(), lost_.begin(), lost_.end());
    lost_.clear();
    told_ = true;
    for (const TaskId& task : lost) events->on_lost(task);
  }

  // A batch is refused as a whole because of one task: those in front of it are posted again, so that a stream of tasks
  // is accepted up to the one to blame.
  void salvage(Core::Failed& failed) {
    std::vector<TaskId>& tasks = failed.request.tasks;
    if (!failed.index || *failed.index == 0 || *failed.index >= tasks.size()) return;
    const auto good = static_cast<std::size_t>(*failed.index);
    std::uint64_t correlation = 0;
    const Result<protocol::Envelope> envelope = protocol::decode_envelope(failed.request.frame, correlation);
    Submit submit;
    if (!envelope.ok() || !protocol::decode(envelope.value().body, submit).ok()) return;
    for (std::size_t i = 0; i < good; ++i) {
      const SubmitItem& item = submit.tasks.at(i);
      post(submit.specs.at(item.spec), item.payload, item.metadata, item.id);
    }
    flush();
    tasks.erase(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(good));
    unacknowledged_ -= good;  // counted again by post()
    failed.index = 0;
  }

  void tell_ended(Events& events) {
    while (!ended_.empty()) {
      const Ended ended = std::move(ended_.front());
      ended_.pop_front();
      unacknowledged_ -= ended.tasks.size();
      unacknowledged_bytes_ -= ended.bytes;
      told_ = true;
      if (ended.error) {
        events.on_refused(ended.tasks, *ended.error, ended.index);
      } else {
        events.on_submitted(ended.tasks);
      }
    }
  }

  void tell_results(ByteView body, Events& events) {
    // `submitted` comes before any result of its tasks, and is told before.
    tell_ended(events);
    if (!protocol::decode(body, results_).ok()) return;
    for (const ResultItem& item : results_.results) {
      if (!core_.on_result(item.id)) continue;
      told_ = true;
      events.on_result(item, device_of(item));
    }
  }

  void tell_kept(Events& events) {
    settle(&events);
    while (!kept_frames_.empty()) {
      const net::Frame frame = std::move(kept_frames_.front());
      kept_frames_.pop_front();
      std::uint64_t correlation = 0;
      const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame.bytes(), correlation);
      if (envelope.ok()) tell_results(envelope.value().body, events);
    }
  }

  Options options_;
  Rng ids_high_;
  Rng ids_low_;
  net::Context context_;
  std::optional<net::Dealer> dealer_;
  net::Poller poller_;
  Core core_;
  net::Frame frame_;
  Results results_;
  TaskIds unknown_;
  std::deque<net::Frame> kept_frames_;  // results that came during a blocking call
  std::deque<Ended> ended_;             // batches that ended and were not told yet
  std::vector<TaskId> lost_;            // not told yet
  Collector* collector_ = nullptr;      // of a blocking wait()
  bool told_ = false;

  std::uint64_t waiting_for_ = 0;  // the blocking call
  bool answered_ = false;
  net::Frame answer_;
  std::optional<Error> failure_;

  protocol::SubmitBatch batch_;
  std::vector<TaskId> batch_ids_;
  std::vector<std::pair<std::uint32_t, TaskSpec>> batch_specs_;
  std::size_t unacknowledged_ = 0;
  std::size_t unacknowledged_bytes_ = 0;
};

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
