#include "tests/sim/client_node.hpp"

#include <algorithm>

namespace retire::sim {
namespace {

constexpr Duration kSendAgain = std::chrono::milliseconds(20);

}  // namespace

ClientNode::ClientNode(NodeId id, std::uint64_t seed, Network& network, Marks& marks, ClientObserver& observer,
                       TimePoint now)
    : id_(id), network_(network), marks_(marks), observer_(observer), core_({"sim-client", Uuid(seed, id)}, seed, now) {
  network_.open(id_, false, now);
  flush(now);
}

void ClientNode::submit(const std::vector<Wanted>& tasks, TimePoint now) {
  protocol::SubmitBatch batch(true);
  std::vector<TaskId> ids;
  for (const Wanted& wanted : tasks) {
    tasks_.emplace(wanted.id, wanted);
    batch.add(wanted.id, batch.add_spec(wanted.spec), wanted.payload);
    ids.push_back(wanted.id);
  }
  const std::uint64_t correlation = core_.next_correlation();
  core_.submit(correlation, batch.take(correlation), std::move(ids), true, TimePoint::max(), now);
  flush(now);
}

void ClientNode::submit_again(const std::vector<TaskId>& lost, TimePoint now) {
  std::vector<Wanted> again;
  for (const TaskId& id : lost) {
    if (!ended_.contains(id)) again.push_back(tasks_.at(id));
  }
  if (!again.empty()) submit(again, now);
}

void ClientNode::post(std::uint64_t correlation, std::string&& frame, TimePoint now) {
  core_.request(correlation, std::move(frame), TimePoint::max(), now);
  flush(now);
}

void ClientNode::cancel(const TaskId& task, TimePoint now) {
  const std::uint64_t correlation = core_.next_correlation();
  std::string frame;
  protocol::encode_ids(frame, MessageType::Cancel, correlation, {task});
  post(correlation, std::move(frame), now);
}

void ClientNode::retry(const TaskId& task, TimePoint now) {
  const std::uint64_t correlation = core_.next_correlation();
  std::string frame;
  protocol::encode_ids(frame, MessageType::Retry, correlation, {task});
  ended_.erase(task);
  post(correlation, std::move(frame), now);
  core_.await({task}, now);
  flush(now);
}

void ClientNode::control(const QueueControl& message, TimePoint now) {
  const std::uint64_t correlation = core_.next_correlation();
  std::string frame;
  protocol::encode(frame, correlation, message);
  post(correlation, std::move(frame), now);
}

void ClientNode::control(const DeviceControl& message, TimePoint now) {
  const std::uint64_t correlation = core_.next_correlation();
  std::string frame;
  protocol::encode(frame, correlation, message);
  post(correlation, std::move(frame), now);
}

TimePoint ClientNode::next_turn() const {
  if (!inbox_.empty()) return TimePoint::min();
  return std::min(core_.next_time(), retry_send_);
}

void ClientNode::turn(TimePoint now) {
  std::deque<std::string> frames;
  frames.swap(inbox_);
  for (const std::string& frame : frames) read(frame, now);
  core_.on_time(now);
  flush(now);
  for (const client::Core::Failed& failed : core_.take_failed()) {
    // An administrator's request about what is gone by now.
    RC_ASSERT(failed.error.code == ErrorCode::NotFound || failed.error.code == ErrorCode::Conflict);
  }
  if (core_.has_lost()) {
    marks_.hit("tasks gone with main, submitted again");
    const std::vector<TaskId> lost = core_.take_lost();
    for (const TaskId& task : lost) observer_.on_lost(task);
    submit_again(lost, now);
  }
}

void ClientNode::read(const std::string& frame, TimePoint now) {
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  RC_ASSERT(envelope.ok());
  const ByteView body = envelope.value().body;
  core_.on_heard(now);
  switch (envelope.value().type) {
    case MessageType::Welcome: {
      Welcome welcome;
      RC_ASSERT(protocol::decode(body, welcome).ok());
      if (main_ && main_ != welcome.instance && core_.outstanding() > 0) {
        marks_.hit("submission repeated across a restart");
      }
      main_ = welcome.instance;
      core_.on_welcome(correlation, welcome, now);
      break;
    }
    case MessageType::Error: {
      ErrorReply error;
      RC_ASSERT(protocol::decode(body, error).ok());
      core_.on_error(correlation, error, now);
      break;
    }
    case MessageType::Submitted: {
      Submitted submitted;
      RC_ASSERT(protocol::decode(body, submitted).ok());
      marks_.hit("submission that main knew", submitted.known.empty() ? 0 : 1);
      if (const auto request = core_.on_answer(correlation, now)) {
        for (const TaskId& task : request->tasks) observer_.on_accepted(task);
      }
      break;
    }
    case MessageType::Waiting: {
      TaskIds unknown;
      RC_ASSERT(protocol::decode_ids(body, "unknown", unknown).ok());
      core_.on_answer(correlation, now);
      core_.on_waiting(unknown.ids);
      break;
    }
    case MessageType::Results:
      RC_ASSERT(protocol::decode(body, results_).ok());
      for (const ResultItem& item : results_.results) {
        observer_.on_result(item);
        if (core_.on_result(item.id)) ended_[item.id] = item.status;
      }
      break;
    case MessageType::Heartbeat: break;
    default: core_.on_answer(correlation, now); break;
  }
}

void ClientNode::flush(TimePoint now) {
  if (core_.take_reconnect()) network_.open(id_, false, now);
  retry_send_ = TimePoint::max();
  while (core_.has_frame()) {
    std::string frame = core_.take_frame();
    std::string copy = frame;
    if (!network_.send_to_main(id_, std::move(copy), now)) {
      core_.put_back(std::move(frame));
      retry_send_ = now + kSendAgain;
      return;
    }
  }
}

}  // namespace retire::sim
