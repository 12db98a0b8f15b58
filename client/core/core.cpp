#include "client/core/core.hpp"

#include <algorithm>

#include "common/model/limits.hpp"
#include "common/protocol/codec.hpp"

namespace retire::client {
namespace {

constexpr Duration kWelcomeWithin = std::chrono::seconds(2);  // else the hello was lost with its connection
constexpr Duration kAnswerWithin = std::chrono::seconds(1);  // of silence with a request unanswered, then main is asked
constexpr Duration kHeartbeat = std::chrono::seconds(5);     // until main says otherwise
constexpr Duration kOfflineAfter = std::chrono::seconds(15);  // likewise
constexpr Duration kPartFirst = std::chrono::milliseconds(100);
constexpr Duration kPartMax = std::chrono::seconds(5);
constexpr Duration kBusy = std::chrono::milliseconds(100);  // if main does not say how long

}  // namespace

Core::Core(CoreSettings settings, std::uint64_t seed, TimePoint now)
    : settings_(std::move(settings)),
      rng_(seed),
      last_heard_(now),
      last_probe_(now),
      greeted_at_(now),
      apart_until_(now) {
  say_hello(now);
}

void Core::say_hello(TimePoint now) {
  state_ = State::Greeting;
  greeted_at_ = now;
  last_heard_ = now;
  outbox_.clear();  // all of it is sent again after the welcome
  hello_correlation_ = next_correlation();
  Hello hello;
  hello.program = settings_.program;
  hello.instance = settings_.instance;
  std::string frame;
  protocol::encode(frame, hello_correlation_, hello);
  outbox_.push_back(std::move(frame));
}

void Core::on_welcome(std::uint64_t correlation, const Welcome& welcome, TimePoint now) {
  if (state_ != State::Greeting || correlation != hello_correlation_) return;  // of an earlier hello
  const bool again = welcome_.has_value();
  welcome_ = welcome;
  state_ = State::Ready;
  partings_ = 0;
  last_probe_ = now;
  if (!again) {
    for (const auto& [number, request] : requests_) {
      if (!request.asleep_until) send(request);
    }
    return;
  }
  send_everything(now);
}

// On a new connection: first the requests, in order, then `wait` for what is awaited beyond them.
void Core::send_everything(TimePoint now) {
  std::erase_if(requests_, [](const auto& entry) { return entry.second.internal; });  // made anew below
  std::vector<TaskId> submitted;
  for (auto& [number, request] : requests_) {
    request.repeated = true;
    if (!request.asleep_until) send(request);
    submitted.insert(submitted.end(), request.tasks.begin(), request.tasks.end());
  }
  std::sort(submitted.begin(), submitted.end());
  std::vector<TaskId> missing;
  awaited_.each([&](const TaskId& task) {
    if (!std::binary_search(submitted.begin(), submitted.end(), task)) missing.push_back(task);
  });
  send_wait(missing, now);
}

void Core::send_wait(const std::vector<TaskId>& tasks, TimePoint now) {
  for (std::size_t from = 0; from < tasks.size(); from += kBatchItemsMax) {
    const std::size_t to = std::min(from + kBatchItemsMax, tasks.size());
    const std::uint64_t correlation = next_correlation();
    Request request;
    request.deadline = TimePoint::max();
    request.internal = true;
    protocol::encode_ids(
        request.frame, MessageType::Wait, correlation,
        {tasks.begin() + static_cast<std::ptrdiff_t>(from), tasks.begin() + static_cast<std::ptrdiff_t>(to)});
    add(correlation, std::move(request), now);
  }
}

void Core::add(std::uint64_t correlation, Request request, TimePoint now) {
  if (!something_is_owed()) last_heard_ = std::max(last_heard_, now);  // silence counts from when we wait
  if (refused_) {
    failed_.push_back({correlation, std::move(request), *refused_, std::nullopt});
    return;
  }
  expiry_ = std::min(expiry_, request.deadline);
  if (state_ == State::Ready) send(request);
  requests_.emplace(correlation, std::move(request));
}

void Core::request(std::uint64_t correlation, std::string frame, TimePoint deadline, TimePoint now) {
  Request request;
  request.frame = std::move(frame);
  request.deadline = deadline;
  add(correlation, std::move(request), now);
}

void Core::submit(std::uint64_t correlation, std::string frame, std::vector<TaskId> tasks, bool notify,
                  TimePoint deadline, TimePoint now) {
  Request request;
  request.frame = std::move(frame);
  request.deadline = deadline;
  request.tasks = std::move(tasks);
  if (!something_is_owed()) last_heard_ = std::max(last_heard_, now);
  if (notify) {
    for (const TaskId& task : request.tasks) awaited_.insert(task);
  }
  add(correlation, std::move(request), now);
}

void Core::await(const std::vector<TaskId>& tasks, TimePoint now) {
  if (!something_is_owed()) last_heard_ = std::max(last_heard_, now);
  std::vector<TaskId> fresh;
  for (const TaskId& task : tasks) {
    if (awaited_.insert(task)) fresh.push_back(task);
  }
  send_wait(fresh, now);
}

void Core::forget(const std::vector<TaskId>& tasks, TimePoint /*now*/) {
  std::vector<TaskId> known;
  for (const TaskId& task : tasks) {
    if (awaited_.erase(task)) known.push_back(task);
  }
  if (state_ != State::Ready) return;  // a new connection gets nothing pushed
  for (std::size_t from = 0; from < known.size(); from += kBatchItemsMax) {
    const std::size_t to = std::min(from + kBatchItemsMax, known.size());
    std::string frame;
    protocol::encode_ids(
        frame, MessageType::Forget, 0,
        {known.begin() + static_cast<std::ptrdiff_t>(from), known.begin() + static_cast<std::ptrdiff_t>(to)});
    outbox_.push_back(std::move(frame));
  }
}

std::optional<Core::Request> Core::on_answer(std::uint64_t correlation, TimePoint now) {
  const auto found = requests_.find(correlation);
  if (found == requests_.end()) return std::nullopt;
  Request request = std::move(found->second);
  requests_.erase(found);
  // A repeated submission may have ended before this connection knew of it: ask for the results that are missing.
  if (request.repeated && !request.tasks.empty()) {
    std::vector<TaskId> missing;
    for (const TaskId& task : request.tasks) {
      if (awaited_.contains(task)) missing.push_back(task);
    }
    send_wait(missing, now);
  }
  return request;
}

void Core::on_waiting(const std::vector<TaskId>& unknown) {
  for (const TaskId& task : unknown) {
    if (awaited_.erase(task)) lost_.push_back(task);
  }
}

void Core::on_error(std::uint64_t correlation, const ErrorReply& error, TimePoint now) {
  if (error.code == ErrorCode::HelloRequired) {
    // Several come when several requests were on their way; the first one is enough.
    if (state_ == State::Ready) say_hello(now);
    return;
  }
  if (state_ == State::Greeting && correlation == hello_correlation_) {
    if (error.code == ErrorCode::Busy) {
      part(now);
      return;
    }
    refused_ = Error{error.code, error.message};
    fail_all(*refused_);
    return;
  }
  const auto found = requests_.find(correlation);
  if (found == requests_.end()) return;
  if (error.code == ErrorCode::Busy) {
    // Never before the time main named, and not all clients at once.
    const Duration pause = std::max(error.retry_after.value_or(kBusy), Duration(1'000));
    found->second.asleep_until = now + pause + jittered(pause / 4);
    waking_ = std::min(waking_, *found->second.asleep_until);
    return;
  }
  fail(correlation, Error{error.code, error.message}, error.index);
}

void Core::fail(std::uint64_t correlation, Error error, std::optional<std::uint64_t> index) {
  const auto found = requests_.find(correlation);
  if (found == requests_.end()) return;
  Request request = std::move(found->second);
  requests_.erase(found);
  for (const TaskId& task : request.tasks) awaited_.erase(task);
  if (request.internal) return;
  failed_.push_back({correlation, std::move(request), std::move(error), index});
}

void Core::fail_all(const Error& error) {
  while (!requests_.empty()) fail(requests_.begin()->first, error, std::nullopt);
}

void Core::on_time(TimePoint now) {
  expire(now);
  wake(now);
  watch_liveness(now);
}

void Core::expire(TimePoint now) {
  if (now < expiry_) return;
  std::vector<std::uint64_t> over;
  expiry_ = TimePoint::max();
  for (const auto& [correlation, request] : requests_) {
    if (request.deadline <= now) {
      over.push_back(correlation);
    } else {
      expiry_ = std::min(expiry_, request.deadline);
    }
  }
  for (const std::uint64_t correlation : over) {
    Error error{ErrorCode::TimedOut, "main did not answer in time; try again, or give it longer"};
    if (state_ != State::Ready) error = {ErrorCode::Unreachable, "main went away and did not come back in time"};
    if (requests_.at(correlation).asleep_until) {
      error = {ErrorCode::Busy, "main was busy until the time given was over; try again later"};
    }
    fail(correlation, std::move(error), std::nullopt);
  }
}

void Core::wake(TimePoint now) {
  if (now < waking_) return;
  waking_ = TimePoint::max();
  for (auto& [correlation, request] : requests_) {
    if (!request.asleep_until) continue;
    if (*request.asleep_until > now) {
      waking_ = std::min(waking_, *request.asleep_until);
      continue;
    }
    request.asleep_until.reset();
    if (state_ == State::Ready) send(request);
  }
}

Duration Core::probe_after() const {
  const Duration heartbeat = welcome_ && welcome_->heartbeat > Duration::zero() ? welcome_->heartbeat : kHeartbeat;
  return requests_.empty() ? heartbeat : std::min(kAnswerWithin, heartbeat);
}

void Core::watch_liveness(TimePoint now) {
  switch (state_) {
    case State::Apart:
      if (now < apart_until_) return;
      reconnect_ = true;
      say_hello(now);
      return;
    case State::Greeting:
      if (now - greeted_at_ >= kWelcomeWithin && !refused_) part(now);
      return;
    case State::Ready:
      if (!something_is_owed()) return;
      if (now - last_heard_ >= (welcome_->offline_after > Duration::zero() ? welcome_->offline_after : kOfflineAfter)) {
        part(now);
        return;
      }
      if (now - std::max(last_heard_, last_probe_) < probe_after()) return;
      last_probe_ = now;
      std::string frame;
      protocol::encode_empty(frame, MessageType::Heartbeat, 0);
      outbox_.push_back(std::move(frame));
      return;
  }
}

// Gives the connection up; a new one is made after a while that doubles, with full jitter.
void Core::part(TimePoint now) {
  state_ = State::Apart;
  outbox_.clear();
  const Duration full = std::min(kPartFirst * (std::int64_t{1} << std::min(partings_, 10)), kPartMax);
  ++partings_;
  apart_until_ = now + jittered(full);
}

Duration Core::jittered(Duration full) {
  return Duration(static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(full.count()) + 1)));
}

TimePoint Core::next_time() const {
  TimePoint next = std::min(expiry_, waking_);
  if (state_ == State::Apart) return std::min(next, apart_until_);
  if (state_ == State::Greeting) return refused_ ? next : std::min(next, greeted_at_ + kWelcomeWithin);
  if (!something_is_owed()) return next;
  return std::min(next, std::max(last_heard_, last_probe_) + probe_after());
}

std::string Core::take_frame() {
  std::string frame = std::move(outbox_.front());
  outbox_.pop_front();
  return frame;
}

}  // namespace retire::client
