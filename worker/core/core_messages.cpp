// What main says.
#include <algorithm>
#include <utility>

#include "worker/core/core.hpp"
#include "worker/core/limits.hpp"

namespace retire::worker {
namespace {

// An item's share of a message beside its texts and data.
constexpr std::size_t kItemBytes = 64;

std::size_t size_of(const FinishedItem& item) {
  return kItemBytes + (item.data ? item.data->size() : 0) + item.error_message.size() + item.traceback.size() +
         item.logs.size() + item.checkpoint.size();
}

// Errors that a repetition of the same bytes would only bring again.
bool is_lasting(ErrorCode code) {
  return code == ErrorCode::Malformed || code == ErrorCode::Invalid || code == ErrorCode::TooLarge ||
         code == ErrorCode::UnknownType || code == ErrorCode::UnsupportedVersion || code == ErrorCode::NotPermitted ||
         code == ErrorCode::NotLetIn || code == ErrorCode::Configuration;
}

}  // namespace

void Core::on_socket_opened(TimePoint now, Effects& out) {
  session_.socket_opened(now);
  on_time(now, out);
}

void Core::on_hello_not_sent(TimePoint now) { session_.hello_not_sent(now); }

void Core::on_batch_not_sent(std::uint64_t batch, TimePoint now) { outbox_.not_sent(batch, now + kUnsentRetry); }

void Core::on_welcome(const Welcome& welcome, TimePoint now, Effects& out) {
  session_.heard(now);
  if (session_.state() != Session::State::Greeting) {
    ++counters_.messages_stale;
    return;
  }
  if (welcome.version != kProtocolVersion) {
    out.fatal = Error{ErrorCode::UnsupportedVersion, "main wants protocol version " + std::to_string(welcome.version) +
                                                         ", this worker speaks 1; upgrade the older side"};
    return;
  }
  session_.welcomed(welcome, now);
  seen_ = 0;
  if (welcome.instance != main_) newest_ = AttemptId{};
  main_ = welcome.instance;
  drain_told_ = false;
  for (const AttemptId id : welcome.abandon) {
    const AttemptIndex index = table_.find(id);
    if (index == kNone || table_.at(index).state == AttemptState::Finished) continue;  // acknowledged as stale, later
    table_.at(index).abandoned = true;
    stop(index, now, out);
  }
  on_progress_not_sent();  // this main may not have been told
  outbox_.resend_all();
}

void Core::on_heartbeat(TimePoint now) { session_.heard(now); }

void Core::on_error(std::uint64_t correlation, const ErrorReply& error, TimePoint now, Effects& out) {
  session_.heard(now);
  if (error.code == ErrorCode::Replaced) {
    out.fatal = Error{ErrorCode::Replaced, "another worker has joined as " + config_.device.device_id + " (" +
                                               error.message + "); stop one of them, or give this one --device-id"};
    left_ = true;
    return;
  }
  if (error.code == ErrorCode::HelloRequired) {
    session_.hello_required(now);
    return;
  }
  if (correlation == kHelloCorrelation) {
    if (session_.state() != Session::State::Greeting) return;
    if (is_lasting(error.code)) {
      out.fatal = Error{error.code, "main refused this worker: " + error.message};
      left_ = true;
    } else {
      session_.refused(now);
    }
    return;
  }
  if (correlation != 0 && is_lasting(error.code)) {
    bool known = false;
    AttemptIndex next = outbox_.acknowledged(correlation, known);
    if (!known) return;
    ++counters_.results_refused;
    while (next != kNone) table_.remove(std::exchange(next, table_.at(next).next));
    out.forget.push_back(correlation);
  }
}

void Core::on_assign(std::uint64_t correlation, const Assign& message, std::shared_ptr<const void> frame,
                     std::size_t frame_bytes, TimePoint now, Effects& out) {
  session_.heard(now);
  if (!session_.joined()) {  // of a session that is over: main counts it as lost on the way
    ++counters_.messages_stale;
    return;
  }
  seen_ = std::max(seen_, correlation);
  std::vector<TypeIndex> types;
  types.reserve(message.specs.size());
  for (const AssignSpec& spec : message.specs) types.push_back(types_.find_offered(spec.type));

  const bool room = table_.frame_bytes() + frame_bytes <= config_.held_bytes_max;
  const FrameIndex held = table_.adopt_frame(std::move(frame), frame_bytes);
  for (const AssignItem& item : message.tasks) {
    if (!item.attempt || item.spec >= types.size()) continue;
    // Main's numbers grow. One that does not was here before, though it may be forgotten by now; or another overtook
    // it, and then main finds it missing and sends it anew.
    if (item.attempt <= newest_ || table_.find(item.attempt) != kNone) {
      ++counters_.duplicates;
      continue;
    }
    newest_ = item.attempt;
    const AssignSpec& spec = message.specs[item.spec];
    const TypeIndex type = types[item.spec];
    if (type == kNone || draining_ || paused() || !room || table_.size() >= config_.held_max) {
      hand_back(item, out);
      continue;
    }
    const AttemptIndex index = table_.add(item.attempt, held);
    Attempt& attempt = table_.at(index);
    attempt.task = item.task;
    attempt.payload = item.payload;
    attempt.checkpoint = item.checkpoint;
    attempt.timeout = std::clamp(spec.timeout, Duration(1), Duration(std::chrono::hours(24 * 366)));
    attempt.order = ++order_;
    attempt.type = type;
    attempt.number = item.number;
    attempt.priority = spec.priority;
    attempt.at_most_once = spec.at_most_once;
    table_.push(index);
  }
  table_.release_frame(held);
}

void Core::hand_back(const AssignItem& item, Effects& out) {
  ++counters_.handed_back;
  // A main that goes on sending what is refused, and acknowledges nothing, is not answered for ever.
  if (outbox_.bytes() > 2 * config_.outbox_bytes_max) return;
  FinishedItem back;
  back.task = item.task;
  back.attempt = item.attempt;
  back.outcome = Outcome::HandedBack;
  back.error_message = draining_  ? kLeaving
                       : paused() ? std::string_view("the device is paused")
                                  : std::string_view("the worker does not offer this type, or holds too much");
  out.finished.push_back({outbox_.add(kNone, size_of(back)), back});
}

void Core::on_recall(std::uint64_t correlation, const AttemptIds& message, TimePoint now, Effects& out) {
  session_.heard(now);
  ReturnedReply& reply = out.returned.emplace_back();
  reply.correlation = correlation;
  for (const AttemptId id : message.attempts) {
    const AttemptIndex index = table_.find(id);
    if (index == kNone || table_.at(index).state != AttemptState::Queued) continue;
    table_.unlink(index);
    table_.remove(index);
    reply.attempts.attempts.push_back(id);
  }
}

void Core::on_stop(const AttemptIds& message, TimePoint now, Effects& out) {
  session_.heard(now);
  for (const AttemptId id : message.attempts) {
    const AttemptIndex index = table_.find(id);
    if (index != kNone) stop(index, now, out);
  }
}

void Core::on_ack(std::uint64_t correlation, TimePoint now, Effects& out) {
  session_.heard(now);
  bool known = false;
  AttemptIndex next = outbox_.acknowledged(correlation, known);
  if (!known) return;
  while (next != kNone) table_.remove(std::exchange(next, table_.at(next).next));
  out.forget.push_back(correlation);
}

void Core::finish(AttemptIndex index, const Ending& ending, Effects& out) {
  Attempt& attempt = table_.at(index);
  if (attempt.abandoned) {
    table_.remove(index);
    return;
  }
  FinishedItem item;
  item.task = attempt.task;
  item.attempt = attempt.id;
  item.outcome = ending.outcome;
  item.data = ending.data;
  item.run = ending.run;
  item.error_message = ending.error_message.substr(0, kErrorMessageBytesMax);
  item.traceback = ending.traceback.substr(0, kTracebackBytesMax);
  item.logs = ending.logs;
  item.checkpoint = ending.checkpoint;
  item.plugin = ending.plugin;
  const std::uint64_t batch = outbox_.add(index, size_of(item));
  if (outbox_.link_from() != kNone) table_.at(outbox_.link_from()).next = index;
  attempt.next = kNone;
  attempt.state = AttemptState::Finished;
  table_.drop_payload(index);
  out.finished.push_back({batch, item});
}

}  // namespace retire::worker
