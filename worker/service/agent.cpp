#include "worker/service/agent.hpp"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "common/logging/logging.hpp"
#include "common/protocol/codec.hpp"
#include "worker/core/limits.hpp"

namespace retire::worker {
namespace {

constexpr int kFramesPerTurn = 64;

TimePoint read_clock() { return SystemClock::now().monotonic; }

}  // namespace

Result<int> block_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&set, signal);
  std::signal(SIGPIPE, SIG_IGN);  // a log that nobody reads any more is no reason to end
  if (pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return Error{ErrorCode::Io, "signals cannot be blocked"};
  const int descriptor = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor < 0) return Error{ErrorCode::Io, std::string("signalfd: ") + std::strerror(errno)};
  return descriptor;
}

Agent::Agent(AgentConfig config, net::Context& context, int signals)
    : config_(std::move(config)),
      context_(context),
      signals_(signals),
      core_(config_.core),
      pool_(config_.pool, *this),
      duty_(config_.duty),
      kept_(config_.outbox),
      away_since_(read_clock()) {
  core_.restore(kept_.restore(outgoing_, config_.core.held_max));
}

Status Agent::run() {
  Status status = loop();
  core_.save_all(effects_);
  const bool saved = kept_.save(effects_.save, outgoing_);
  if (core_.results_wait()) {
    logging::warn("main has not acknowledged all results; {}",
                  saved ? "they are sent when this worker starts again" : "they are lost, and their tasks run again");
  }
  return status;
}

Status Agent::loop() {
  while (!done_ && !fatal_) {
    wait();
    now_ = read_clock();
    read_signals();
    if (stop_signals_ > 1) return Error{ErrorCode::Internal, "told twice to stop: ended at once"};
    watch_duty();
    watch_plugins();
    pool_.poll();
    if (dealer_) read_messages();
    core_.on_time(now_, effects_);
    apply();
    core_.end_turn(now_, effects_);
    apply();
    if (dealer_) outgoing_.flush(*dealer_);
    watch_connection();
  }
  if (fatal_) return *fatal_;
  return ok_status();
}

void Agent::wait() {
  Duration timeout = std::chrono::hours(1);
  const TimePoint deadline = core_.next_deadline();
  if (deadline != TimePoint::max()) timeout = std::min(timeout, deadline - std::min(deadline, read_clock()));
  if (outgoing_.waiting()) timeout = std::min(timeout, kUnsentRetry);
  if (!told_away_ && !core_.joined()) timeout = std::min(timeout, config_.tell_after);
  timeout = std::min(timeout, duty_.until_due(read_clock()));
  if (pool_.pending()) timeout = Duration::zero();
  poller_.clear();
  poller_.add(pool_.descriptor());
  poller_.add(signals_);
  if (config_.plugins != nullptr) poller_.add(config_.plugins->descriptor());
  if (dealer_) poller_.add(*dealer_);
  poller_.wait(timeout);
}

void Agent::read_signals() {
  signalfd_siginfo info{};
  bool child = false;
  while (read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) {
      child = true;
      continue;
    }
    if (++stop_signals_ == 1) {
      logging::info("draining: {} attempts held, {} running; a second signal ends at once", core_.held(),
                    core_.running());
      core_.drain(now_, effects_);
      apply();
    }
  }
  if (child) pool_.reap();
}

void Agent::read_messages() {
  for (int i = 0; i < kFramesPerTurn && dealer_; ++i) {
    net::Frame frame;
    switch (dealer_->receive(frame)) {
      case net::Received::Nothing: return;
      case net::Received::Malformed: logging::warn("main sent a message of several parts; ignored"); break;
      case net::Received::Message: on_message(std::move(frame)); break;
    }
  }
}

void Agent::on_message(net::Frame&& frame) {
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame.bytes(), correlation);
  if (!envelope.ok()) {
    logging::warn("main sent what cannot be read: {}; ignored", envelope.error().detail);
    return;
  }
  const MessageType type = envelope.value().type;
  const ByteView body = envelope.value().body;
  Status status = ok_status();
  switch (type) {
    case MessageType::Assign: {
      status = protocol::decode(body, assign_);
      if (!status.ok()) break;
      const std::size_t size = frame.bytes().size();
      core_.on_assign(correlation, assign_, std::make_shared<net::Frame>(std::move(frame)), size, now_, effects_);
      break;
    }
    case MessageType::Ack: core_.on_ack(correlation, now_, effects_); break;
    case MessageType::Heartbeat: core_.on_heartbeat(now_); break;
    case MessageType::Recall:
      status = protocol::decode_attempts(body, attempts_);
      if (status.ok()) core_.on_recall(correlation, attempts_, now_, effects_);
      break;
    case MessageType::Stop:
      status = protocol::decode_attempts(body, attempts_);
      if (status.ok()) core_.on_stop(attempts_, now_, effects_);
      break;
    case MessageType::Welcome: {
      Welcome welcome;
      status = protocol::decode(body, welcome);
      if (!status.ok()) break;
      core_.on_welcome(welcome, now_, effects_);
      logging::debug("welcomed by {} (epoch {}, durable: {}), {} held", welcome.program, welcome.epoch, welcome.durable,
                     core_.held());
      break;
    }
    case MessageType::Error: {
      ErrorReply error;
      status = protocol::decode(body, error);
      if (!status.ok()) break;
      if (error.code != ErrorCode::HelloRequired) {
        logging::warn("main says {}: {}", to_string(error.code), error.message);
      }
      core_.on_error(correlation, error, now_, effects_);
      break;
    }
    default: logging::debug("main sent a {}, which is not for workers; ignored", to_string(type)); return;
  }
  if (!status.ok()) {
    logging::warn("main sent a {} that cannot be read: {}; ignored", to_string(type), status.error().detail);
  }
  apply();
}

void Agent::on_result(std::uint32_t slot, const host::AttemptResult& result) {
  HostResult told;
  told.sequence = result.sequence;
  told.skipped = result.skipped;
  told.spent = result.spent;
  told.outcome = result.outcome;
  told.data = result.data;
  told.run_ns = result.run_ns;
  told.error_message = result.error_message;
  told.traceback = result.traceback;
  told.logs = result.logs;
  told.checkpoint = result.checkpoint;
  told.plugin = result.plugin;
  core_.on_result(slot, told, now_, effects_);
}

void Agent::on_results_end() { apply(); }

void Agent::on_host_lost(std::uint32_t slot, const host::Loss& loss) {
  logging::info("slot={} {}", slot, loss.reason);
  const HostLoss told{loss.running,    loss.reason, loss.output, loss.logs,
                      loss.checkpoint, loss.plugin, loss.met};  // until its effects are done
  core_.on_host_lost(slot, told, now_, effects_);
  apply();
}

// Doing one thing may bring results of a host, and with them more to do: that is done after it.
void Agent::apply() {
  outgoing_.pack(effects_.finished);
  effects_.finished.clear();
  if (performing_) return;
  performing_ = true;
  while (effects_.any()) {
    std::swap(effects_, performed_);
    effects_.clear();
    perform(performed_);
    outgoing_.pack(effects_.finished);
    effects_.finished.clear();
  }
  performing_ = false;
}

void Agent::perform(Effects& effects) {
  for (const std::uint64_t batch : effects.forget) {
    outgoing_.forget(batch);
    kept_.forget(batch);
  }
  if (!effects.save.empty() && !kept_.save(effects.save, outgoing_)) core_.on_not_saved(effects.save.front(), now_);
  hand_over(effects);
  for (const Order& order : effects.orders) obey(order);
  if (effects.open_socket) open_socket();
  if (dealer_) send_messages(effects);
  if (effects.done) done_ = true;
  if (effects.fatal) fatal_ = effects.fatal;
}

void Agent::hand_over(const Effects& effects) {
  for (const Handover& handover : effects.handovers) {
    const std::string& type = core_.type_name(handover.type);
    const auto plugin = config_.offers.plugins.find(type);
    RC_ASSERT(plugin != config_.offers.plugins.end());  // the core offers what is in there
    pool_.begin(handover.slot, plugin->second, type, handover.count);
    for (std::size_t i = handover.first; i < handover.first + handover.count; ++i) {
      const Run& run = effects.runs[i];
      pool_.add({run.sequence, run.task, run.number, run.timeout, run.payload, run.checkpoint});
    }
    pool_.end();
  }
}

void Agent::obey(const Order& order) {
  switch (order.kind) {
    case Order::Kind::Look: {
      const host::HostPool::Seen seen = pool_.look(order.slot);
      core_.on_looked(order.slot, seen.running, seen.started, now_, effects_);
      break;
    }
    case Order::Kind::TakeBack: {
      const host::HostPool::Seen seen = pool_.take_back(order.slot);
      core_.on_taken_back(order.slot, seen.running, seen.started, now_, effects_);
      break;
    }
    case Order::Kind::Listen:
      if (const host::AttemptTold* told = pool_.listen(order.slot, order.sequence, order.again)) {
        core_.on_told(order.slot,
                      {order.sequence, told->fraction, told->text, told->first_line, told->logs, told->checkpoint},
                      effects_);
      }
      break;
    case Order::Kind::Cancel: pool_.cancel(order.slot, order.sequence); break;
    case Order::Kind::Terminate: pool_.terminate(order.slot); break;
    case Order::Kind::Kill: pool_.kill(order.slot); break;
  }
}

void Agent::open_socket() {
  outgoing_.discard_unsent();
  dealer_.reset();
  Result<net::Dealer> dealer = net::Dealer::connect(context_, config_.main, {});
  if (!dealer.ok()) {
    fatal_ = dealer.error();
    return;
  }
  dealer_ = std::move(dealer).value();
  core_.on_socket_opened(now_, effects_);
}

void Agent::send_messages(Effects& effects) {
  const auto frame = [this](const auto& message, std::uint64_t correlation) {
    std::string out;
    protocol::encode(out, correlation, message);
    return out;
  };
  if (effects.hello && dealer_->send(frame(*effects.hello, kHelloCorrelation)) != net::Sent::Yes) {
    core_.on_hello_not_sent(now_);
  }
  if (effects.device) outgoing_.send(*dealer_, frame(*effects.device, 0));
  for (const std::uint64_t batch : effects.send) {
    if (!outgoing_.send_batch(*dealer_, batch)) core_.on_batch_not_sent(batch, now_);
  }
  if (!effects.started.attempts.empty()) {
    std::string out;
    protocol::encode_attempts(out, MessageType::Started, 0, effects.started.attempts);
    outgoing_.send(*dealer_, std::move(out));
  }
  if (!effects.progress.attempts.empty()) send_progress(effects.progress);
  for (const ReturnedReply& reply : effects.returned) {
    std::string out;
    protocol::encode_attempts(out, MessageType::Returned, reply.correlation, reply.attempts.attempts);
    outgoing_.send(*dealer_, std::move(out));
  }
  if (effects.heartbeat) {
    double load = 0;
    if (getloadavg(&load, 1) == 1) effects.heartbeat->load = load;
    outgoing_.send(*dealer_, frame(*effects.heartbeat, 0));
  }
  for (const auto& [wanted, type] :
       {std::pair{effects.drain, MessageType::Drain}, std::pair{effects.goodbye, MessageType::Goodbye}}) {
    if (!wanted) continue;
    std::string out;
    protocol::encode_empty(out, type, 0);
    outgoing_.send(*dealer_, std::move(out));
  }
}

void Agent::watch_duty() {
  if (duty_.until_due(now_) > Duration::zero()) return;
  const bool was_paused = core_.paused();
  const std::string& reason = duty_.judge(now_, core_.running());
  core_.set_paused(reason, effects_);
  apply();
  if (was_paused == core_.paused()) return;
  if (core_.paused()) {
    logging::info("paused: {}; {} tasks run to their end", reason, core_.running());
  } else {
    logging::info("takes work again");
  }
}

// Plugins came, changed or went.
void Agent::watch_plugins() {
  if (config_.plugins == nullptr) return;
  std::optional<Offers> offers = config_.plugins->take();
  if (!offers) return;
  Result<Capabilities> device = with_offers(config_.core.device, *offers);
  if (!device.ok()) {
    logging::warn("plugins have changed, but what they offer cannot be told: {}", device.error().detail);
    return;
  }
  log_changes(config_.offers, *offers);
  const std::vector<std::string> replaced = replaced_types(config_.offers.plugins, offers->plugins);
  config_.core.device = std::move(device).value();
  config_.offers = std::move(*offers);
  pool_.renew(host::make_setup(config_.core.device, config_.http_allow));
  core_.offer(config_.core.device, replaced, effects_);
  apply();
}

// In messages of a moderate size. What main's end does not take now is not kept: it grows old.
void Agent::send_progress(Progress& progress) {
  Progress part;
  std::size_t bytes = 0;
  const auto send = [&] {
    std::string out;
    protocol::encode(out, 0, part);
    if (!outgoing_.send_or_drop(*dealer_, std::move(out))) core_.on_progress_not_sent();
    part.attempts.clear();
    bytes = 0;
  };
  for (const ProgressItem& item : progress.attempts) {
    part.attempts.push_back(item);
    bytes += item.logs.size() + item.checkpoint.size();
    if (bytes >= kBatchBytesTarget) send();
  }
  if (!part.attempts.empty()) send();
}

// One line for each change that a person would want to know of.
void Agent::watch_connection() {
  const bool joined = core_.joined();
  if (joined && !was_joined_) {
    logging::info("joined main at {} as {} with {} slots", config_.main.text(), config_.core.device.device_id,
                  config_.core.device.slots);
    told_away_ = false;
  }
  if (!joined && was_joined_) away_since_ = now_;
  if (!joined && !told_away_ && now_ - away_since_ >= config_.tell_after) {
    logging::warn("main at {} does not answer; trying on, and what runs goes on", config_.main.text());
    told_away_ = true;
  }
  was_joined_ = joined;
}

}  // namespace retire::worker
