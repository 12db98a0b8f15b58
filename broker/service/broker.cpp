#include "broker/service/broker.hpp"

#include <algorithm>

#include "broker/service/read.hpp"
#include "common/base/failpoint.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {
namespace {

// A turn takes so many frames at the most, so that time passes and answers leave under any load.
constexpr int kFramesPerTurnMax = 256;
constexpr Duration kBlockedRetry = std::chrono::milliseconds(5);
constexpr Duration kSweepInterval = std::chrono::seconds(10);
constexpr Duration kClientSilenceMax = std::chrono::minutes(10);

core::SchedulerConfig with(core::SchedulerConfig config, const store::Store& store) {
  config.durable = store.is_durable();
  return config;
}

}  // namespace

Broker::Broker(const BrokerConfig& config, Transport& transport, store::Store& store)
    : config_(config),
      transport_(transport),
      store_(store),
      scheduler_(with(config.scheduler, store), config.epoch, config.seed) {
  store_.tell_coming([this](const TaskId& id) { scheduler_.prefetch(id); });
  if (store_.loading() != store::Store::Loading::Done) scheduler_.begin_restore(store_.opened().tasks);
  Rng rng(config.seed ^ 0x6d61696e);
  const std::uint64_t high = rng.next();
  instance_ = Uuid::random(high, rng.next());
  restore_pauses();
}

TimePoint Broker::next_turn() const {
  if (more_ || !gone_.empty()) return now_.monotonic;
  TimePoint next = next_sweep_;
  if (const auto due = scheduler_.next_deadline()) next = std::min(next, *due);
  if (blocked_) next = std::min(next, now_.monotonic + kBlockedRetry);
  return next;
}

Status Broker::turn(Now now) {
  now_ = now;
  for (const core::DeviceIndex device : gone_) scheduler_.disconnected(device);
  gone_.clear();
  receive_all();
  failpoint(Failpoint::Received);
  if (Status status = load(); !status.ok()) return status;
  scheduler_.advance(now_, effects_);
  if (Status status = take_fetched(); !status.ok()) return status;
  carry_out();
  end_turn();
  failpoint(Failpoint::Appended);
  store_.submit();
  failpoint(Failpoint::HandedOver);
  if (now_.monotonic >= next_sweep_) {
    next_sweep_ = now_.monotonic + kSweepInterval;
    for (Session* silent : sessions_.silent(now_.monotonic - kClientSilenceMax)) {
      if (silent->unread_bytes() > 0) silent->connection.end();
      close(*silent);  // it is asked to say hello if it speaks again
    }
  }
  if (Status status = flush(); !status.ok()) return status;
  pump_fetches();
  return ok_status();
}

void Broker::receive_all() {
  std::string_view frame;
  for (int n = 0; n < kFramesPerTurnMax; ++n) {
    const net::Received received = transport_.receive(peer_, frame);
    more_ = received != net::Received::Nothing;
    if (!more_) break;
    ++counters_.messages_in;
    if (received == net::Received::Malformed) {
      ++counters_.malformed;
      refuse(peer_, 0, {ErrorCode::Malformed, "a message is one frame", {}, {}, {}});
      continue;
    }
    handle(peer_, frame, nullptr);
  }
}

void Broker::handle(const std::string& peer, std::string_view frame, const net::Connection* parked) {
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  if (!envelope.ok()) {
    ++counters_.malformed;
    refuse(peer, correlation, {envelope.error().code, envelope.error().detail, {}, {}, {}});
    return;
  }
  if (envelope.value().type == MessageType::Hello) {
    hello(peer, frame, envelope.value(), parked != nullptr ? *parked : transport_.source());
    return;
  }
  Session* session = sessions_.find(peer);
  if (session == nullptr) {
    ++counters_.hello_required;
    refuse(peer, correlation, {ErrorCode::HelloRequired, "main does not know this connection; say hello", {}, {}, {}});
    return;
  }
  session->heard_at = now_.monotonic;
  dispatch(*session, envelope.value());
}

void Broker::dispatch(Session& session, const protocol::Envelope& envelope) {
  const bool taken =
      session.kind == PeerKind::Client ? handle_client(session, envelope) : handle_worker(session, envelope);
  if (taken) return;
  fail(session, envelope.correlation,
       {ErrorCode::NotPermitted, std::string("a ") + (session.kind == PeerKind::Client ? "client" : "worker") +
                                     " may not send \"" + std::string(to_string(envelope.type)) + "\""});
}

void Broker::hello(const std::string& peer, std::string_view frame, const protocol::Envelope& envelope,
                   const net::Connection& connection) {
  Hello message;
  if (const Status decoded = protocol::decode(envelope.body, message); !decoded.ok()) {
    ++counters_.malformed;
    refuse(peer, envelope.correlation, {decoded.error().code, decoded.error().detail, {}, {}, {}});
    return;
  }
  // What it holds can be told from what it should give up only when the queue is known.
  if (scheduler_.loading() == core::Scheduler::Loading::Queue && !message.held.empty()) {
    std::erase_if(parked_hellos_, [&](const ParkedHello& parked) { return parked.peer == peer; });
    if (parked_hellos_.size() < config_.sessions_max) parked_hellos_.push_back({peer, std::string(frame), connection});
    return;
  }
  if (message.version_min > kProtocolVersion || message.version_max < kProtocolVersion) {
    refuse(peer, envelope.correlation,
           {ErrorCode::UnsupportedVersion,
            "main speaks protocol version 1, " + message.program + " speaks " + std::to_string(message.version_min) +
                " to " + std::to_string(message.version_max) + "; upgrade the older one",
            {},
            {},
            {}});
    return;
  }
  if (sessions_.size() >= config_.sessions_max && sessions_.find(peer) == nullptr) {
    refuse(peer, envelope.correlation,
           {ErrorCode::Busy,
            "main holds " + std::to_string(sessions_.size()) + " connections, the most it takes",
            {},
            {},
            Duration(std::chrono::seconds(5))});
    return;
  }

  Session& session = sessions_.open(peer, message.peer, message.instance, now_.monotonic);
  session.connection = connection;
  Welcome welcome;
  welcome.program = "retire-cluster-main/" RC_VERSION;
  welcome.instance = instance_;
  welcome.epoch = config_.epoch;
  welcome.durable = store_.is_durable();
  welcome.heartbeat = config_.heartbeat;
  welcome.offline_after = config_.scheduler.offline_after;
  welcome.lease = config_.scheduler.lease;
  welcome.message_bytes_max = kMessageBytesMax;
  welcome.payload_bytes_max = kPayloadBytesMax;
  welcome.result_bytes_max = kResultBytesMax;

  if (message.peer == PeerKind::Worker) {
    const std::string& id = message.device->device_id;
    if (Session* former = sessions_.by_device(scheduler_.find_device(id)); former != nullptr && former != &session) {
      if (former->instance != message.instance) {
        logging::warn("device={} is joined by another process; the former one is told to stop", id);
        refuse(
            former->routing_id, 0,
            {ErrorCode::Replaced,
             "another process has joined as device " + id + "; give each worker a --data-dir or --device-id of its own",
             {},
             {},
             {}});
      }
      sessions_.close(*former);
    }
    const core::DeviceIndex device = scheduler_.join(*message.device, message.instance, message.held, message.draining,
                                                     now_, welcome.abandon, effects_);
    scheduler_.set_pause(device, message.paused, now_, effects_);
    sessions_.bind_device(session, device);
    logging::info("device={} joined program={} slots={} handlers={} held={} abandoned={}", id, message.program,
                  message.device->slots, message.device->handlers.size(), message.held.size(), welcome.abandon.size());
  }
  std::string answer;
  protocol::encode(answer, envelope.correlation, welcome);
  reply(session, std::move(answer));
  carry_out();
}

void Broker::refuse(std::string_view peer, std::uint64_t correlation, const ErrorReply& error) {
  logging::debug("refused code={} message={}", to_string(error.code), error.message);
  std::string frame;
  protocol::encode(frame, correlation, error);
  ++counters_.messages_out;
  transport_.send(peer, std::move(frame), nullptr);  // best effort: this peer has no session to keep it for
}

bool Broker::fail(Session& session, std::uint64_t correlation, const Error& error) {
  if (error.code == ErrorCode::Malformed) ++counters_.malformed;
  std::string frame;
  protocol::encode(frame, correlation, ErrorReply{error.code, error.detail, {}, {}, {}});
  // What is refused may reveal what is known, as an answer does.
  reply(session, std::move(frame), session.kind == PeerKind::Client ? appended_ : 0);
  return true;
}

void Broker::reply(Session& session, std::string&& frame, store::Position after) {
  sessions_.queued(session, frame.size());
  if (after == 0) {
    session.outbox.push_back(std::move(frame));
  } else {
    session.deferred.push_back({std::move(frame), after});
  }
  if (!session.in_flush_list) {
    session.in_flush_list = true;
    unsent_.push_back(session.routing_id);
  }
}

// An order to a worker: none overtakes an assign that still waits.
void Broker::order(Session& session, std::string&& frame, store::Position after) {
  session.orders_after = std::max(session.orders_after, after);
  reply(session, std::move(frame), session.orders_after);
}

Status Broker::flush() {
  const Result<store::Position> durable = store_.durable();
  if (!durable.ok()) return durable.error();
  durable_ = durable.value();
  blocked_ = false;
  std::vector<std::string> waiting;
  waiting.swap(unsent_);
  for (std::string& peer : waiting) {
    Session* session = sessions_.find(peer);
    if (session == nullptr) continue;
    if (!flush(*session)) continue;  // closed
    if (session->outbox.empty() && session->deferred.empty()) {
      session->in_flush_list = false;
    } else {
      unsent_.push_back(std::move(peer));
    }
  }
  if (sessions_.unread_bytes() > config_.unread_bytes_max) cut_the_fullest();
  return ok_status();
}

// So that many peers which do not read, and of which each keeps within its bound, do not fill the memory together. Down
// to three quarters, so that not each turn has to look.
void Broker::cut_the_fullest() {
  for (Session* session : sessions_.fullest(config_.unread_bytes_max / 4 * 3)) {
    logging::warn("a peer was cut: {} bytes wait for all peers that do not read, {} of them for this one",
                  sessions_.unread_bytes(), session->unread_bytes());
    cut(*session);
  }
}

void Broker::cut(Session& session) {
  ++counters_.peers_cut;
  session.connection.end();  // what the socket has for it would stay there otherwise
  lose(session);
}

// The session of a connection that is no more.
void Broker::lose(Session& session) {
  if (session.kind == PeerKind::Worker) gone_.push_back(session.device);
  close(session);
}

// Sends what may be sent. False if the session was closed over it.
bool Broker::flush(Session& session) {
  bool open = true;
  while (open && !session.outbox.empty()) {
    if (!send(session, session.outbox.front(), open)) return open;
    session.outbox.pop_front();
  }
  while (open && !session.deferred.empty() && session.deferred.front().after <= durable_) {
    failpoint(Failpoint::AnswerDue);
    if (!send(session, session.deferred.front().frame, open)) return open;
    failpoint(Failpoint::AnswerSent);
    session.deferred.pop_front();
  }
  if (session.deferred.empty()) session.orders_after = 0;
  return open;
}

// False if the frame was not sent; `open`: whether the session still stands.
bool Broker::send(Session& session, std::string& frame, bool& open) {
  const std::size_t bytes = frame.size();
  std::string leaving = std::move(frame);
  // The socket would take a thousand frames of any size.
  const bool enough = session.unsent->bytes() > config_.socket_bytes_max;
  switch (enough ? net::Sent::WouldBlock : transport_.send(session.routing_id, std::move(leaving), session.unsent)) {
    case net::Sent::Yes:
      ++counters_.messages_out;
      sessions_.dequeued(session, bytes);
      return true;
    case net::Sent::WouldBlock:
      frame = std::move(leaving);
      blocked_ = true;
      if (session.unread_bytes() <= config_.outbox_bytes_max) return false;
      logging::warn("a peer was cut: {} bytes wait for it and it does not read", session.unread_bytes());
      cut(session);
      open = false;
      return false;
    case net::Sent::NoPeer:
      break;  // it will connect again and say hello; what it holds is settled then, or by its lease
  }
  lose(session);
  open = false;
  return false;
}

void Broker::close(Session& session) { sessions_.close(session); }

}  // namespace retire::service
