// What workers report.
#include "broker/service/broker.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {

bool Broker::handle_worker(Session& session, const protocol::Envelope& envelope) {
  const core::DeviceIndex device = session.device;
  const auto& name = [&]() -> const std::string& { return scheduler_.device(device).capabilities.device_id; };
  const auto readable = [&](const Status& decoded) {
    if (decoded.ok()) return true;
    logging::warn("device={} sent an unreadable {}: {}", name(), to_string(envelope.type), decoded.error().detail);
    fail(session, envelope.correlation, decoded.error());
    return false;
  };

  // Such a worker said that it held nothing. Nothing is decided about attempts while only some of them are known, and a
  // result that is not acknowledged is sent again.
  const bool loading = scheduler_.loading() == core::Scheduler::Loading::Queue;
  if (loading && (envelope.type == MessageType::Finished || envelope.type == MessageType::Started ||
                  envelope.type == MessageType::Returned)) {
    return true;
  }

  switch (envelope.type) {
    case MessageType::Finished: {
      if (!readable(protocol::decode(envelope.body, finished_))) return true;
      for (const FinishedItem& item : finished_.results) {
        if (item.outcome != Outcome::Success) keep_for_retry(device, item);
        scheduler_.finished(device, item, now_, effects_);
        carry_out();
      }
      std::string frame;
      protocol::encode_empty(frame, MessageType::Ack, envelope.correlation);
      reply(session, std::move(frame), appended_);
      return true;
    }
    case MessageType::Started:
      if (readable(protocol::decode_attempts(envelope.body, attempts_))) {
        scheduler_.started(device, attempts_.attempts, now_, effects_);
      }
      break;
    case MessageType::Progress:
      if (!readable(protocol::decode(envelope.body, progress_))) return true;
      for (const ProgressItem& item : progress_.attempts) on_progress(device, item);
      break;
    case MessageType::Returned:
      if (readable(protocol::decode_attempts(envelope.body, attempts_))) {
        scheduler_.returned(device, attempts_.attempts, now_, effects_);
      }
      break;
    case MessageType::Heartbeat: {
      if (!readable(protocol::decode(envelope.body, heartbeat_))) return true;
      if (const bool paused = !heartbeat_.paused.empty(); paused != scheduler_.device(device).paused) {
        logging::info("device={} {}{}", name(), paused ? "is paused: " : "takes work again", heartbeat_.paused);
      }
      if (!loading) scheduler_.heartbeat(device, heartbeat_, now_, effects_);
      std::string frame;
      protocol::encode(frame, envelope.correlation, Heartbeat{});
      reply(session, std::move(frame));
      break;
    }
    case MessageType::DeviceUpdate: {
      DeviceUpdate message;
      if (!readable(protocol::decode(envelope.body, message))) return true;
      if (message.device.device_id != name()) {
        fail(session, envelope.correlation,
             {ErrorCode::NotPermitted,
              "a device cannot change its ID from " + name() + " to " + message.device.device_id});
        return true;
      }
      logging::info("device={} offers handlers={}", name(), message.device.handlers.size());
      scheduler_.update(device, message.device, now_, effects_);
      break;
    }
    case MessageType::Drain:
      logging::info("device={} drains", name());
      scheduler_.drain(device, now_, effects_);
      break;
    case MessageType::Goodbye:
      logging::info("device={} left", name());
      if (!loading) scheduler_.left(device, now_, effects_);
      carry_out();
      close(session);
      return true;
    default: return false;
  }
  carry_out();
  return true;
}

void Broker::on_progress(core::DeviceIndex device, const ProgressItem& item) {
  if (!protocol::decode_log_lines(item.logs, log_lines_).ok()) log_lines_.clear();
  scheduler_.progress(device, item, log_lines_, now_);
}

// What a failed attempt has left: a checkpoint for the next one, and its log for people until that one says something.
void Broker::keep_for_retry(core::DeviceIndex device, const FinishedItem& item) {
  if (item.checkpoint.empty() && item.logs.empty()) return;
  ProgressItem left;
  left.attempt = item.attempt;
  left.logs = item.logs;
  left.checkpoint = item.checkpoint;
  on_progress(device, left);
}

}  // namespace retire::service
