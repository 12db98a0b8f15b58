#include "tests/sim/worker_node.hpp"

#include <algorithm>

#include "worker/core/limits.hpp"

namespace retire::sim {

void WorkerNode::start(std::uint64_t seed, TimePoint now) {
  crash();
  worker::CoreConfig config;
  config.device = device_;
  config.program = "sim-worker";
  config.instance = Uuid(seed, id_);
  config.seed = seed;
  config.drain_timeout = std::chrono::seconds(5);
  core_ = std::make_unique<worker::Core>(config);
  core_->on_time(now, effects_);
  apply(now);
}

void WorkerNode::crash() {
  network_.close(id_);
  core_.reset();
  effects_.clear();
  inbox_.clear();
  hosts_.clear();
  open_batches_.clear();
  batches_.clear();
  done_ = false;
  frozen_until_ = {};
}

void WorkerNode::drain(TimePoint now) {
  core_->drain(now, effects_);
  apply(now);
}

void WorkerNode::pause(bool paused, TimePoint now) {
  core_->set_paused(paused ? "its owner plays" : "", effects_);
  apply(now);
  turn(now);
}

TimePoint WorkerNode::next_turn() const {
  if (!up()) return TimePoint::max();
  TimePoint next = core_->next_deadline();
  for (const auto& [slot, host] : hosts_) {
    if (!host.jobs.empty()) next = std::min(next, host.ends);
  }
  if (!inbox_.empty()) next = TimePoint::min();
  return std::max(next, frozen_until_);
}

void WorkerNode::turn(TimePoint now) {
  if (!up() || now < frozen_until_) return;
  run_hosts(now);
  std::deque<std::string> frames;
  frames.swap(inbox_);
  for (const std::string& frame : frames) {
    if (up() && !done_) read(frame, now);
  }
  core_->on_time(now, effects_);
  apply(now);
  core_->end_turn(now, effects_);
  apply(now);
  std::vector<TaskId> running;
  for (const auto& [slot, host] : hosts_) {
    if (!host.jobs.empty()) running.push_back(host.jobs.front().task);
  }
  observer_.on_running(device_, running);
  if (done_) crash();
}

void WorkerNode::read(const std::string& frame, TimePoint now) {
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  RC_ASSERT(envelope.ok());
  const ByteView body = envelope.value().body;
  switch (envelope.value().type) {
    case MessageType::Assign: {
      auto owned = std::make_shared<std::string>(frame);
      std::uint64_t again = 0;
      RC_ASSERT(protocol::decode(protocol::decode_envelope(*owned, again).value().body, assign_).ok());
      core_->on_assign(correlation, assign_, owned, owned->size(), now, effects_);
      break;
    }
    case MessageType::Ack: core_->on_ack(correlation, now, effects_); break;
    case MessageType::Heartbeat: core_->on_heartbeat(now); break;
    case MessageType::Recall: {
      RC_ASSERT(protocol::decode_attempts(body, attempts_).ok());
      const std::size_t before = effects_.returned.size();
      core_->on_recall(correlation, attempts_, now, effects_);
      std::size_t given = 0;
      for (std::size_t i = before; i < effects_.returned.size(); ++i)
        given += effects_.returned[i].attempts.attempts.size();
      marks_.hit("recall", 1);
      marks_.hit("recall gave tasks back", given > 0 ? 1 : 0);
      marks_.hit("recall crossing a start", given < attempts_.attempts.size() ? 1 : 0);
      break;
    }
    case MessageType::Stop:
      RC_ASSERT(protocol::decode_attempts(body, attempts_).ok());
      core_->on_stop(attempts_, now, effects_);
      break;
    case MessageType::Welcome: {
      Welcome welcome;
      RC_ASSERT(protocol::decode(body, welcome).ok());
      marks_.hit("attempts abandoned on return", welcome.abandon.size());
      core_->on_welcome(welcome, now, effects_);
      break;
    }
    case MessageType::Error: {
      ErrorReply error;
      RC_ASSERT(protocol::decode(body, error).ok());
      if (error.code == ErrorCode::HelloRequired) marks_.hit("worker asked to say hello");
      core_->on_error(correlation, error, now, effects_);
      break;
    }
    default: RC_ASSERT(false);
  }
  apply(now);
}

void WorkerNode::apply(TimePoint now) {
  const auto pack = [&] {
    for (const worker::Outgoing& outgoing : effects_.finished) open_batches_[outgoing.batch].add(outgoing.item);
    effects_.finished.clear();
  };
  pack();
  if (performing_) return;
  performing_ = true;
  while (effects_.any()) {
    std::swap(effects_, performed_);
    effects_.clear();
    perform(performed_, now);
    pack();
  }
  performing_ = false;
}

void WorkerNode::perform(worker::Effects& effects, TimePoint now) {
  for (const std::uint64_t batch : effects.forget) {
    open_batches_.erase(batch);
    batches_.erase(batch);
  }
  for (const worker::Handover& handover : effects.handovers) {
    Host& host = hosts_[handover.slot];
    const bool idle = host.jobs.empty();
    for (std::size_t i = handover.first; i < handover.first + handover.count; ++i) {
      const worker::Run& run = effects.runs[i];
      if (!run.checkpoint.empty()) {
        RC_ASSERT(run.checkpoint == run.task.text());  // nobody else's
        marks_.hit("checkpoints handed on");
      }
      host.jobs.push_back({run.sequence, run.task, run.number});
    }
    if (idle) begin_next(host, now);
  }
  for (const worker::Order& order : effects.orders) {
    Host& host = hosts_[order.slot];
    const worker::Sequence running = host.jobs.empty() ? 0 : host.jobs.front().sequence;
    switch (order.kind) {
      case worker::Order::Kind::Look: core_->on_looked(order.slot, running, host.started, now, effects_); break;
      case worker::Order::Kind::TakeBack:
        if (!host.jobs.empty()) host.jobs.erase(host.jobs.begin() + 1, host.jobs.end());
        core_->on_taken_back(order.slot, running, host.started, now, effects_);
        break;
      case worker::Order::Kind::Listen:
        if (running == order.sequence) {
          const std::string saved = host.jobs.front().task.text();
          core_->on_told(order.slot, {running, 0.5, "half", 0, {}, saved}, effects_);
        }
        break;
      case worker::Order::Kind::Cancel:
        if (running == order.sequence && !host.plan.ignores_cancel)
          finish_job(order.slot, host, Outcome::Cancelled, now);
        break;
      case worker::Order::Kind::Terminate: break;  // those that ignore being cancelled ignore this too
      case worker::Order::Kind::Kill: lose_host(order.slot, host, now); break;
    }
  }
  if (effects.open_socket) {
    network_.open(id_, true, now);
    core_->on_socket_opened(now, effects_);
  }
  const auto send = [&](std::string&& frame) { return network_.send_to_main(id_, std::move(frame), now); };
  if (effects.hello) {
    std::string frame;
    protocol::encode(frame, worker::kHelloCorrelation, *effects.hello);
    if (!send(std::move(frame))) core_->on_hello_not_sent(now);
  }
  for (const std::uint64_t batch : effects.send) {
    if (const auto open = open_batches_.find(batch); open != open_batches_.end()) {
      batches_[batch] = open->second.take(batch);
      open_batches_.erase(open);
    }
    std::string frame = batches_.at(batch);
    if (!send(std::move(frame))) core_->on_batch_not_sent(batch, now);
  }
  if (!effects.started.attempts.empty()) {
    std::string frame;
    protocol::encode_attempts(frame, MessageType::Started, 0, effects.started.attempts);
    send(std::move(frame));
  }
  if (!effects.progress.attempts.empty()) {
    std::string frame;
    protocol::encode(frame, 0, effects.progress);
    if (!send(std::move(frame))) core_->on_progress_not_sent();
  }
  for (const worker::ReturnedReply& reply : effects.returned) {
    std::string frame;
    protocol::encode_attempts(frame, MessageType::Returned, reply.correlation, reply.attempts.attempts);
    send(std::move(frame));
  }
  if (effects.heartbeat) {
    std::string frame;
    protocol::encode(frame, 0, *effects.heartbeat);
    send(std::move(frame));
  }
  for (const auto& [wanted, type] :
       {std::pair{effects.drain, MessageType::Drain}, std::pair{effects.goodbye, MessageType::Goodbye}}) {
    if (!wanted) continue;
    std::string frame;
    protocol::encode_empty(frame, type, 0);
    send(std::move(frame));
  }
  if (effects.done || effects.fatal) done_ = true;
}

void WorkerNode::begin_next(Host& host, TimePoint now) {
  if (host.jobs.empty()) return;
  const Job& job = host.jobs.front();
  host.plan = plan_of(job.task, job.number, bad_, speed_);
  host.started = now;
  host.ends = host.plan.hangs ? TimePoint::max() : now + host.plan.run;
  observer_.on_execution(device_.device_id, job.task, now);
}

void WorkerNode::run_hosts(TimePoint now) {
  for (auto& [slot, host] : hosts_) {
    while (!host.jobs.empty() && host.ends <= now) {
      const TimePoint ended = host.ends;
      if (host.plan.outcome == Outcome::Crashed) {
        lose_host(slot, host, now);
      } else {
        finish_job(slot, host, host.plan.outcome, ended);
      }
    }
  }
}

void WorkerNode::finish_job(worker::SlotIndex slot, Host& host, Outcome outcome, TimePoint now) {
  const Job job = host.jobs.front();
  host.jobs.pop_front();
  worker::HostResult result;
  result.sequence = job.sequence;
  result.outcome = outcome;
  result.run_ns = static_cast<std::uint64_t>((now - host.started).count()) * 1000;
  const std::string data = job.task.bytes() + std::to_string(job.number);
  if (outcome == Outcome::Success) {
    result.data = data;
  } else {
    result.error_message = "planned";
  }
  begin_next(host, now);
  core_->on_result(slot, result, now, effects_);
  apply(now);
}

void WorkerNode::lose_host(worker::SlotIndex slot, Host& host, TimePoint now) {
  const worker::HostLoss loss{host.jobs.empty() ? 0 : host.jobs.front().sequence, "died as planned", ""};
  host.jobs.clear();
  core_->on_host_lost(slot, loss, now, effects_);
  apply(now);
}

}  // namespace retire::sim
