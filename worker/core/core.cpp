// Time, leaving, and who gets what to run.
#include "worker/core/core.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "worker/core/limits.hpp"

namespace retire::worker {

void Effects::clear() {
  finished.clear();
  texts.clear();
  forget.clear();
  save.clear();
  runs.clear();
  handovers.clear();
  orders.clear();
  open_socket = false;
  hello.reset();
  device.reset();
  send.clear();
  started.attempts.clear();
  progress.attempts.clear();
  returned.clear();
  heartbeat.reset();
  drain = false;
  goodbye = false;
  done = false;
  fatal.reset();
}

bool Effects::any() const {
  return !finished.empty() || !forget.empty() || !save.empty() || !handovers.empty() || !orders.empty() ||
         open_socket || hello || device || !send.empty() || !started.attempts.empty() || !progress.attempts.empty() ||
         !returned.empty() || heartbeat || drain || goodbye || done || fatal;
}

Core::Core(CoreConfig config) : config_(std::move(config)), session_(config_.seed), slots_(config_.device.slots) {
  types_.offer(config_.device.handlers, {});
  for (SlotIndex slot = config_.device.slots; slot > 0; --slot) idle_.push_back(slot - 1);
}

void Core::restore(const std::vector<KeptBatch>& batches) {
  RC_ASSERT(outbox_.empty() && table_.size() == 0);
  const FrameIndex none = table_.adopt_frame(nullptr, 0);
  for (const KeptBatch& batch : batches) {
    AttemptIndex head = kNone;
    for (const AttemptId id : batch.attempts) {
      if (!id || table_.find(id) != kNone) continue;  // a file may say anything
      const AttemptIndex index = table_.add(id, none);
      table_.drop_payload(index);
      Attempt& attempt = table_.at(index);
      attempt.state = AttemptState::Finished;
      attempt.next = std::exchange(head, index);
    }
    outbox_.restore(head, batch.bytes);
  }
  table_.release_frame(none);
}

void Core::save_all(Effects& out) {
  outbox_.close();
  outbox_.take_all_unsaved(out.save);
}

void Core::on_not_saved(std::uint64_t batch, TimePoint now) { outbox_.not_saved(batch, now + kSaveRetry); }

void Core::drain(TimePoint now, Effects& out) {
  if (draining_) return;
  draining_ = true;
  drain_until_ = now + config_.drain_timeout;
  for (AttemptIndex i = table_.first(); i != kNone; i = table_.first()) {
    table_.unlink(i);
    finish(i, Ending(Outcome::HandedBack, kLeaving), out);
  }
  for (SlotIndex slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].open() > 1) take_back(slot, out);  // what has not begun goes to others as well
  }
}

void Core::set_paused(std::string_view why, Effects& out) {
  const bool was = paused();
  paused_ = why;
  if (was == paused()) return;  // new words for it go with the next heartbeat
  heartbeat_due_ = true;
  if (!paused()) return;
  for (SlotIndex slot = 0; slot < slots_.size(); ++slot) {
    if (slots_[slot].open() > 1) take_back(slot, out);  // so that it can be recalled
  }
}

void Core::offer(const Capabilities& device, const std::vector<std::string>& replaced, Effects& out) {
  RC_ASSERT(device.device_id == config_.device.device_id && device.slots == config_.device.slots);
  config_.device = device;
  device_told_ = false;
  std::vector<AttemptId> held;
  table_.list(held);
  std::vector<bool> used;  // types that attempts stand for
  for (const AttemptId id : held) {
    const Attempt& attempt = table_.at(table_.find(id));
    if (attempt.state == AttemptState::Finished) continue;
    if (attempt.type >= used.size()) used.resize(attempt.type + 1);
    used[attempt.type] = true;
  }
  types_.offer(device.handlers, used);
  for (const AttemptId id : held) {
    const AttemptIndex index = table_.find(id);
    if (table_.at(index).state != AttemptState::Queued || types_.offered(table_.at(index).type)) continue;
    table_.unlink(index);
    finish(index, Ending(Outcome::HandedBack, kWithdrawn), out);
  }
  for (SlotIndex index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (slot.idle()) continue;
    const std::string& type = types_.name(slot.type);
    const bool is_replaced = std::find(replaced.begin(), replaced.end(), type) != replaced.end();
    if (!is_replaced && types_.offered(slot.type)) continue;
    slot.exclusive = true;
    if (slot.open() > 1) take_back(index, out);
  }
}

void Core::on_time(TimePoint now, Effects& out) {
  if (left_) return;
  const Session::Due due = session_.due(now);
  out.open_socket |= due.open_socket;
  if (due.hello) {
    Hello& hello = out.hello.emplace();
    hello.peer = PeerKind::Worker;
    hello.version_min = hello.version_max = kProtocolVersion;
    hello.program = config_.program;
    hello.instance = config_.instance;
    hello.device = config_.device;
    hello.draining = draining_;
    hello.paused = paused_;
    table_.list(hello.held);
    device_told_ = true;
  }
  heartbeat_due_ |= due.heartbeat;
  if (now >= look_next_) look_after_slots(now, out);
  if (draining_) leave_if_done(now, out);
}

void Core::end_turn(TimePoint now, Effects& out) {
  if (left_) return;
  hand_out(now, out);
  outbox_.close();
  if (session_.joined()) {
    if (!std::exchange(device_told_, true)) out.device = DeviceUpdate{config_.device};
    if (draining_ && !drain_told_) out.drain = drain_told_ = true;
    outbox_.take_due(now, out.send);
    if (std::exchange(heartbeat_due_, false)) {
      // After the results of this turn: what was handed back and is not held any more would count as lost otherwise.
      Heartbeat& heartbeat = out.heartbeat.emplace();
      heartbeat.from_worker = true;
      heartbeat.seen = seen_;
      heartbeat.running = busy_;
      heartbeat.paused = paused_;
      table_.list(heartbeat.held);
    }
  }
  outbox_.take_unsaved(now, out.save);
  if (draining_) leave_if_done(now, out);
}

void Core::leave_if_done(TimePoint now, Effects& out) {
  if (left_) return;
  if (now >= drain_until_ && busy_ > 0) {
    // What has begun and does not end is nobody's result: it is lost with this worker, which costs the task no retry.
    for (SlotIndex s = 0; s < slots_.size(); ++s) {
      Slot& slot = slots_[s];
      if (slot.idle()) continue;
      for (std::size_t i = 0; i < slot.size(); ++i) {
        if (slot.entry(i).attempt != kNone) table_.at(slot.entry(i).attempt).abandoned = true;
      }
      if (!slot.killed) {
        slot.killed = true;
        out.orders.push_back({Order::Kind::Kill, s, 0});
      }
    }
    drain_until_ = TimePoint::max();
    return;
  }
  if (busy_ > 0) return;
  if (flush_until_ == TimePoint::max()) flush_until_ = now + kFlushMax;
  if (!outbox_.empty() && now < flush_until_) return;
  left_ = true;
  out.goodbye = session_.joined();
  out.done = true;
}

TimePoint Core::next_deadline() const {
  if (left_) return TimePoint::max();
  TimePoint next = std::min(session_.next_deadline(), look_next_);
  if (session_.joined()) {
    if (const auto due = outbox_.next_deadline()) next = std::min(next, *due);
  }
  if (const auto due = outbox_.save_deadline()) next = std::min(next, *due);
  if (draining_) next = std::min(next, busy_ > 0 ? drain_until_ : flush_until_);
  return next;
}

bool Core::runs_short(TypeIndex type) const { return types_.run_ns(type) >= 0 && types_.run_ns(type) < kShortRunNs; }

double Core::work_ns(const Slot& slot) const {
  return static_cast<double>(slot.open()) * std::max(types_.run_ns(slot.type), 0.0);
}

// Whether the host of a busy slot may be given this one to run after what it has.
bool Core::may_add(const Slot& slot, const Attempt& attempt) const {
  return !slot.idle() && !slot.exclusive && !attempt.at_most_once && slot.type == attempt.type && slot.running == 0 &&
         !slot.killed && !slot.spent && slot.kill_at == TimePoint::max() && runs_short(attempt.type);
}

// The slot to run the first of the queue, and how many of its kind may be handed over there; kNone: it has to wait.
SlotIndex Core::choose_slot(const Attempt& attempt, std::size_t& count_max) {
  const bool together = runs_short(attempt.type) && !attempt.at_most_once;
  const double each_ns = together ? std::max(types_.run_ns(attempt.type), 1.0) : kBatchWorkNs;
  const auto fitting = [&](double work) { return std::max(static_cast<std::size_t>(work / each_ns), std::size_t{1}); };

  const SlotIndex warm = types_.last_slot(attempt.type);
  const bool addable = warm != kNone && may_add(slots_[warm], attempt);
  if (addable) {
    // A second host is not woken for what the first does in less time than waking takes.
    const double work = work_ns(slots_[warm]);
    const double limit = idle_.empty() ? kBatchWorkNs : kSpreadWorkNs;
    const bool half_done =
        work <= limit / 2 && slots_[warm].open() <= kHandoverCountMax / 2 && slots_[warm].bytes() <= kBatchBytesMax / 2;
    if (half_done) {
      count_max = std::min(fitting(limit - work), kHandoverCountMax - slots_[warm].open());
      return warm;
    }
  }
  if (idle_.empty()) return kNone;
  count_max = 1;
  if (together) {
    const std::size_t share = (table_.queued() + idle_.size() - 1) / idle_.size();
    count_max = std::min({fitting(kBatchWorkNs), std::max(share, fitting(kSpreadWorkNs)), kHandoverCountMax});
  }
  // The one that had this type last, if it is free: its host is warm.
  const auto begin = idle_.size() > 64 ? idle_.end() - 64 : idle_.begin();
  const auto same = std::find(begin, idle_.end(), warm);
  return same != idle_.end() ? warm : idle_.back();
}

void Core::hand_out(TimePoint now, Effects& out) {
  if (paused()) return;
  // Strictly in order: what cannot be placed now is not overtaken.
  for (AttemptIndex first = table_.first(); first != kNone; first = table_.first()) {
    if (outbox_.bytes() > config_.outbox_bytes_max) return;
    std::size_t count_max = 0;
    const SlotIndex slot = choose_slot(table_.at(first), count_max);
    if (slot == kNone) return;
    hand_over(slot, count_max, now, out);
  }
}

void Core::hand_over(SlotIndex index, std::size_t count_max, TimePoint now, Effects& out) {
  Slot& slot = slots_[index];
  const Attempt& lead = table_.at(table_.first());
  const TypeIndex type = lead.type;
  const Priority priority = lead.priority;
  const bool alone = lead.at_most_once;
  if (slot.idle()) {
    std::erase(idle_, index);
    ++busy_;
    slot.exclusive = alone;
    slot.running = 0;
    slot.deadline = slot.term_at = slot.kill_at = slot.listen_at = TimePoint::max();
    slot.killed = slot.taking_back = slot.answered = slot.never_began = slot.spent = false;
    slot.handed_at = slot.progress_at = now;
    slot.look_at = now + kLookAfter;
  }
  slot.type = type;
  types_.last_slot(type) = index;

  Handover handover{index, type, out.runs.size(), 0};
  Duration shortest = Duration::max();
  while (handover.count < count_max) {
    const AttemptIndex first = table_.first();
    if (first == kNone) break;
    Attempt& attempt = table_.at(first);
    if (attempt.type != type || attempt.priority != priority) break;
    if (handover.count > 0 && (attempt.at_most_once || slot.bytes() + attempt.payload.size() > kBatchBytesMax)) break;
    table_.unlink(first);
    attempt.sequence = ++sequence_;
    attempt.slot = index;
    slot.hand(attempt.sequence, first, attempt.payload.size());
    shortest = std::min(shortest, attempt.timeout);
    out.runs.push_back(
        {attempt.sequence, attempt.task, attempt.number, attempt.timeout, attempt.payload, attempt.checkpoint});
    ++handover.count;
  }
  slot.look_at = std::min(slot.look_at, now + std::min(shortest, kLookAfter));
  look_next_ = std::min(look_next_, slot.look_at);
  out.handovers.push_back(handover);
}

void Core::check_invariants() const {
  table_.check_invariants();
  std::size_t busy = 0;
  std::size_t handed = 0;
  for (const Slot& slot : slots_) {
    if (!slot.idle()) ++busy;
    handed += slot.open();
  }
  RC_ASSERT(busy == busy_ && idle_.size() == slots_.size() - busy);
  std::vector<AttemptId> held;
  table_.list(held);
  std::size_t in_state = 0;
  for (const AttemptId id : held) {
    if (table_.at(table_.find(id)).state == AttemptState::Handed) ++in_state;
  }
  RC_ASSERT(in_state == handed);
}

}  // namespace retire::worker
