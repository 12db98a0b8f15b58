// A core with a main and hosts that the test plays itself, under a time that the test moves.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/core/core.hpp"
#include "worker/core/limits.hpp"

namespace retire::worker {

using namespace std::chrono_literals;

struct Told {  // a result as main gets it
  std::uint64_t attempt = 0;
  Outcome outcome = Outcome::Failed;
  std::string message;
  std::string traceback;
  std::string data;
  std::uint64_t batch = 0;
  std::string logs{};
  std::string checkpoint{};
};

struct ToldLive {  // a progress as main gets it
  std::uint64_t attempt = 0;
  std::string text;
  std::uint64_t first_line = 0;
  std::string checkpoint;
};

struct Given {  // an attempt as a host gets it
  SlotIndex slot = 0;
  Sequence sequence = 0;
  std::uint64_t attempt = 0;
  std::string type;
  std::string checkpoint{};
};

struct TaskSpecForTest {
  std::string type = "echo";
  Priority priority = Priority::Normal;
  Duration timeout = 300s;
  bool at_most_once = false;
};

class CoreHarness {
 public:
  explicit CoreHarness(std::uint32_t slots = 1, CoreConfig config = {})
      : core(with(std::move(config), slots)), slot_count(slots) {}

  static CoreConfig with(CoreConfig config, std::uint32_t slots) {
    config.device.device_id = "d";
    config.device.slots = slots;
    config.device.handlers = {"echo", "sleep"};
    config.seed = 7;
    return config;
  }

  // From nothing to welcomed.
  void join() {
    turn();
    EXPECT_TRUE(socket_wanted);
    socket_wanted = false;
    open_socket();
    EXPECT_EQ(hellos.size(), 1u);
    welcome();
  }
  void open_socket() {
    core.on_socket_opened(now, out);
    take();
    turn();
  }
  void welcome(std::vector<AttemptId> abandon = {}) {
    Welcome message;
    message.heartbeat = 5s;
    message.offline_after = 15s;
    message.lease = 30s;
    message.instance = instance;
    message.abandon = std::move(abandon);
    core.on_welcome(message, now, out);
    take();
    turn();
  }
  void assign(std::vector<std::uint64_t> attempts, TaskSpecForTest spec = {}, std::string payload = "\xc0",
              const std::string& checkpoint = "") {
    const std::size_t payload_bytes = payload.size();
    auto owner = std::make_shared<std::string>(std::move(payload) + checkpoint);
    const std::string_view whole = *owner;
    Assign message;
    message.specs.push_back({spec.type, spec.timeout, spec.priority, spec.at_most_once});
    for (const std::uint64_t attempt : attempts) {
      message.tasks.push_back(
          {TaskId(1, attempt), AttemptId(attempt), 0, whole.substr(0, payload_bytes), 1, whole.substr(payload_bytes)});
    }
    frames.push_back(owner);
    const std::size_t bytes = owner->size();
    core.on_assign(++assigns, message, owner, bytes, now, out);
    take();
    turn();
  }
  void error(ErrorCode code, std::uint64_t correlation = 0, std::string text = "why") {
    ErrorReply reply;
    reply.code = code;
    reply.message = std::move(text);
    core.on_error(correlation, reply, now, out);
    take();
    turn();
  }
  void heartbeat_from_main() { core.on_heartbeat(now); }
  void ack(std::uint64_t batch) {
    core.on_ack(batch, now, out);
    take();
    turn();
  }
  void ack_all() {
    for (const std::uint64_t batch : std::exchange(sent, {})) ack(batch);
  }
  void recall(std::vector<std::uint64_t> attempts) {
    core.on_recall(77, ids(attempts), now, out);
    take();
    turn();
  }
  void stop(std::vector<std::uint64_t> attempts) {
    core.on_stop(ids(attempts), now, out);
    take();
    turn();
  }
  void not_saved(std::uint64_t batch) { core.on_not_saved(batch, now); }
  void save_all() {
    core.save_all(out);
    take();
  }
  void drain() {
    core.drain(now, out);
    take();
    turn();
  }

  void pause(std::string_view why) {
    core.set_paused(why, out);
    take();
    turn();
  }

  void offer(std::vector<std::string> types, const std::vector<std::string>& replaced = {}) {
    Capabilities device = with({}, slot_count).device;
    device.handlers = std::move(types);
    core.offer(device, replaced, out);
    take();
    turn();
  }

  // A host's answer to what it was given.
  void answer(const Given& run, Outcome outcome = Outcome::Success, Duration ran = 10us,
              const std::string& checkpoint = "", bool spent = false) {
    HostResult result;
    result.sequence = run.sequence;
    result.spent = spent;
    result.outcome = outcome;
    if (outcome == Outcome::Success) result.data = "\xc0";
    if (outcome == Outcome::Failed) result.error_message = "no luck";
    result.run_ns = static_cast<std::uint64_t>(ran.count()) * 1000;
    result.checkpoint = checkpoint;
    core.on_result(run.slot, result, now, out);
    take();
    turn();
  }
  // By a host that is to be replaced.
  void answer_spent(const Given& run) { answer(run, Outcome::Success, 10us, "", true); }
  void skipped(const Given& run) {
    HostResult result;
    result.sequence = run.sequence;
    result.skipped = true;
    core.on_result(run.slot, result, now, out);
    take();
    turn();
  }
  void looked(SlotIndex slot, Sequence running, TimePoint since) {
    core.on_looked(slot, running, since, now, out);
    take();
    turn();
  }
  void taken_back(SlotIndex slot, Sequence running, TimePoint since) {
    core.on_taken_back(slot, running, since, now, out);
    take();
    turn();
  }
  void lost(SlotIndex slot, Sequence running, std::string reason = "handler process died: signal 11 (SIGSEGV)",
            std::string logs = "", std::string checkpoint = "", std::string met = "") {
    const HostLoss loss{running, std::move(reason), "last words", std::move(logs), std::move(checkpoint),
                        {},      std::move(met)};
    core.on_host_lost(slot, loss, now, out);
    take();
    turn();
  }
  void told_live(SlotIndex slot, const HostTold& live) {
    core.on_told(slot, live, out);
    take();
  }
  // Answers every look as it is asked for: the host of `slot` is at `running` since `started`.
  void runs(SlotIndex slot, const Given& run, TimePoint since) { at_work[slot] = {run.sequence, since}; }

  void turn() {
    core.on_time(now, out);
    take();
    core.end_turn(now, out);
    take();
    core.check_invariants();
  }
  // Moves time, stopping wherever the core waits for something.
  void advance(Duration by) {
    const TimePoint end = now + by;
    for (int i = 0; now < end; ++i) {
      ASSERT_LT(i, 100'000) << "the core spins";
      const TimePoint next = core.next_deadline();
      now = std::min(end, std::max(next, now + 1us));
      turn();
    }
  }

  // What came out, in order; the test takes from these.
  std::vector<Told> told;
  std::vector<Given> given;
  std::vector<Order> orders;  // but for listening, and looks that were answered by themselves
  std::vector<Order> listens;
  std::vector<std::uint64_t> sent;
  std::vector<Hello> hellos;
  std::vector<DeviceUpdate> updates;
  std::vector<Heartbeat> heartbeats;
  std::vector<ToldLive> progress;
  std::vector<std::uint64_t> started;
  std::vector<ReturnedReply> returned;
  std::vector<std::uint64_t> forgotten;
  std::vector<std::uint64_t> saved;
  int drains = 0;
  int goodbyes = 0;
  bool done = false;
  bool socket_wanted = false;
  std::optional<Error> fatal;

  Core core;
  std::uint32_t slot_count;
  TimePoint now{100s};
  InstanceId instance{1, 1};
  std::vector<std::weak_ptr<std::string>> frames;

  std::size_t frames_held() const {
    std::size_t held = 0;
    for (const auto& frame : frames) held += frame.expired() ? 0u : 1u;
    return held;
  }
  int count(Order::Kind kind) const {
    int n = 0;
    for (const Order& order : orders) n += order.kind == kind ? 1 : 0;
    return n;
  }
  std::vector<std::uint64_t> told_attempts() const {
    std::vector<std::uint64_t> out_attempts;
    for (const Told& one : told) out_attempts.push_back(one.attempt);
    return out_attempts;
  }
  std::vector<std::uint64_t> given_attempts() const {
    std::vector<std::uint64_t> out_attempts;
    for (const Given& one : given) out_attempts.push_back(one.attempt);
    return out_attempts;
  }
  // So that the core knows this type as a short one.
  void make_short(const std::string& type = "echo", Duration ran = 1us) {
    for (std::uint64_t i = 0; i < 3; ++i) {
      assign({900'000 + ++warmups_}, {.type = type});
      answer(given.back(), Outcome::Success, ran);
      ack_all();
    }
    // A main that was restarted numbers anew, and so does the test.
    instance = InstanceId(2, warmups_);
    error(ErrorCode::HelloRequired);
    welcome();
    hellos.clear();
    told.clear();
    given.clear();
  }

 private:
  static AttemptIds ids(const std::vector<std::uint64_t>& attempts) {
    AttemptIds out_ids;
    for (const std::uint64_t attempt : attempts) out_ids.attempts.emplace_back(attempt);
    return out_ids;
  }
  void take() {
    Effects effects;
    std::swap(effects, out);
    for (const Outgoing& one : effects.finished) {
      told.push_back({one.item.attempt.value(), one.item.outcome, std::string(one.item.error_message),
                      std::string(one.item.traceback), std::string(one.item.data.value_or("")), one.batch,
                      std::string(one.item.logs), std::string(one.item.checkpoint)});
    }
    for (const Handover& handover : effects.handovers) {
      for (std::size_t i = handover.first; i < handover.first + handover.count; ++i) {
        given.push_back({handover.slot, effects.runs[i].sequence, effects.runs[i].task.low(),
                         core.type_name(handover.type), std::string(effects.runs[i].checkpoint)});
      }
    }
    sent.insert(sent.end(), effects.send.begin(), effects.send.end());
    forgotten.insert(forgotten.end(), effects.forget.begin(), effects.forget.end());
    saved.insert(saved.end(), effects.save.begin(), effects.save.end());
    if (effects.hello) hellos.push_back(*effects.hello);
    if (effects.device) updates.push_back(*effects.device);
    if (effects.heartbeat) heartbeats.push_back(*effects.heartbeat);
    for (const ProgressItem& item : effects.progress.attempts) {
      progress.push_back({item.attempt.value(), std::string(item.text), item.first_line, std::string(item.checkpoint)});
    }
    for (const AttemptId id : effects.started.attempts) started.push_back(id.value());
    returned.insert(returned.end(), effects.returned.begin(), effects.returned.end());
    drains += effects.drain ? 1 : 0;
    goodbyes += effects.goodbye ? 1 : 0;
    done |= effects.done;
    socket_wanted |= effects.open_socket;
    if (effects.fatal) fatal = effects.fatal;
    for (const Order& order : effects.orders) {
      const auto known = at_work.find(order.slot);
      if (order.kind == Order::Kind::Look && known != at_work.end()) {
        core.on_looked(order.slot, known->second.first, known->second.second, now, out);
        take();
      } else if (order.kind == Order::Kind::Listen) {
        listens.push_back(order);
      } else {
        orders.push_back(order);
      }
    }
  }

  Effects out;
  std::uint64_t assigns = 0;
  std::uint64_t warmups_ = 0;
  std::map<SlotIndex, std::pair<Sequence, TimePoint>> at_work;
};

using Attempts = std::vector<std::uint64_t>;

}  // namespace retire::worker
