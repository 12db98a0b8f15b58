// Being connected to main: connecting, and again when main was away; sending, receiving, who is to get what came.
#include <algorithm>
#include <array>
#include <cstdio>
#include <random>

#include "client/impl.hpp"

namespace retire::client {
namespace {

constexpr int kFramesAtOnce = 64;                              // received before time is looked at again
constexpr Duration kRetrySend = std::chrono::milliseconds(2);  // the socket does not tell when it takes more
constexpr Duration kRetryConnect = std::chrono::milliseconds(10);

std::uint64_t random_seed() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

net::SocketOptions socket_options() {
  net::SocketOptions options;
  options.linger = std::chrono::milliseconds(200);
  return options;
}

}  // namespace

std::string seconds_text(Duration duration) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g", to_seconds(duration));
  return text.data();
}

Client::Impl::Impl(Options options)
    : options_(std::move(options)),
      ids_high_(random_seed()),
      ids_low_(random_seed()),
      core_({options_.program + " " RC_VERSION, new_id()}, random_seed(), now()),
      batch_(options_.notify) {}

Client::Impl::~Impl() {
  if (!dealer_ || !core_.ready()) return;
  std::string frame;
  protocol::encode_empty(frame, MessageType::Goodbye, 0);
  dealer_->send(std::move(frame));
}

Status Client::Impl::connect() {
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

TaskId Client::Impl::new_id() {
  // Two generators: one has 2^64 states, and two clients that meet in it would choose the same IDs.
  const std::uint64_t high = ids_high_.next();
  return TaskId::random(high, ids_low_.next());
}

Status Client::Impl::open() {
  Result<net::Dealer> dealer = net::Dealer::connect(context_, options_.address, socket_options());
  if (!dealer.ok()) return dealer.error();
  dealer_.emplace(std::move(dealer).value());
  poller_.clear();
  poller_.add(*dealer_);
  return ok_status();
}

Error Client::Impl::unreachable() const {
  return {ErrorCode::Unreachable, "main not reached at " + options_.address.text() + " within " +
                                      seconds_text(options_.connect_timeout) +
                                      " s; is retire-cluster-main running there? Check host and port, or give it "
                                      "longer with --connect-timeout"};
}

void Client::Impl::pump(Duration timeout, Events* events) {
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

void Client::Impl::send() {
  while (core_.has_frame()) {
    std::string frame = core_.take_frame();
    // The socket takes the bytes only if it can send them; what it does not take is sent later.
    if (dealer_->send(std::move(frame)) == net::Sent::Yes) continue;
    core_.put_back(std::move(frame));
    return;
  }
}

bool Client::Impl::receive(Events* events, TimePoint moment) {
  bool any = false;
  for (int i = 0; i < kFramesAtOnce; ++i) {
    const net::Received received = dealer_->receive(frame_);
    if (received == net::Received::Nothing) break;
    any = true;
    if (received == net::Received::Message) on_frame(events, moment);
  }
  return any;
}

void Client::Impl::on_frame(Events* events, TimePoint moment) {
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

void Client::Impl::on_answer(std::uint64_t correlation, TimePoint moment) {
  std::optional<Core::Request> request = core_.on_answer(correlation, moment);
  if (!request) return;
  if (correlation == waiting_for_) {
    answer_ = std::exchange(frame_, net::Frame());
    answered_ = true;
    return;
  }
  ended_.push_back({std::move(request->tasks), request->frame.size(), std::nullopt, std::nullopt});
}

void Client::Impl::settle(Events* events) {
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

}  // namespace retire::client
