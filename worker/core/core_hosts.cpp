// What hosts say, and what is done about those that say nothing.
#include <algorithm>
#include <utility>

#include "worker/core/core.hpp"
#include "worker/core/limits.hpp"

namespace retire::worker {
namespace {

Duration to_duration(std::uint64_t nanoseconds) {
  return Duration(static_cast<std::int64_t>(std::min(nanoseconds / 1000, std::uint64_t{INT64_MAX} / 1000)));
}

std::string seconds_text(Duration duration) {
  std::string text = std::to_string(to_seconds(duration));
  while (text.ends_with('0')) text.pop_back();
  if (text.ends_with('.')) text.pop_back();
  return text;
}

// A host that is seen at an attempt may find it taken back in that very moment; not again and again.
constexpr std::uint8_t kDisownedMax = 3;

std::string timeout_text(const Attempt& attempt, std::string_view how) {
  return "no result within timeout_seconds " + seconds_text(attempt.timeout) + std::string(how);
}

}  // namespace

// What main is told of an attempt that its handler has ended.
Core::Ending Core::ending_of(const Attempt& attempt, const HostResult& result, Effects& out) const {
  Ending ending(result.outcome, result.error_message, to_duration(result.run_ns));
  ending.data = result.data;
  ending.traceback = result.traceback;
  ending.logs = result.logs;
  ending.plugin = result.plugin;
  if (ending.outcome == Outcome::Success) return ending;  // whatever was asked for meanwhile: it is there
  ending.data.reset();
  ending.checkpoint = result.checkpoint;
  if (attempt.stop_wanted) {
    ending.outcome = Outcome::Cancelled;
    ending.checkpoint = {};
  } else if (attempt.overdue || (ending.outcome == Outcome::Cancelled && ending.run >= attempt.timeout)) {
    ending.outcome = Outcome::Timeout;
    ending.error_message = out.texts.emplace_back(timeout_text(attempt, "; it ended when it was asked to"));
  } else if (ending.outcome == Outcome::Cancelled) {
    ending.outcome = Outcome::Failed;
    ending.error_message = "the handler ended as cancelled, but nobody had cancelled it";
  }
  return ending;
}

void Core::close_entry(SlotIndex index, Slot::Entry& entry) {
  Slot& slot = slots_[index];
  slot.close(entry);
  if (slot.idle()) set_free(index);
}

void Core::set_free(SlotIndex index) {
  Slot& slot = slots_[index];
  --busy_;
  idle_.push_back(index);
  slot.running = 0;
  slot.exclusive = slot.taking_back = false;
  slot.look_at = slot.deadline = slot.term_at = slot.kill_at = slot.listen_at = TimePoint::max();
}

void Core::on_result(SlotIndex index, const HostResult& result, TimePoint now, Effects& out) {
  if (index >= slots_.size()) return;
  Slot& slot = slots_[index];
  Slot::Entry* entry = slot.find(result.sequence);
  if (entry == nullptr) {  // taken back in the meantime, or never given
    if (!result.skipped) ++counters_.results_unknown;
    return;
  }
  const AttemptIndex attempt = entry->attempt;
  const bool was_seen = slot.running == result.sequence;
  slot.spent |= result.spent;
  close_entry(index, *entry);
  if (result.skipped && was_seen && ++table_.at(attempt).disowned > kDisownedMax) {
    finish(attempt, Ending(Outcome::Crashed, "its handler process ran it, and said that it had not begun"), out);
  } else if (result.skipped) {
    requeue(attempt, out);
  } else {
    if (result.outcome != Outcome::Cancelled) types_.ran(table_.at(attempt).type, result.run_ns);
    slot.answered = true;
    finish(attempt, ending_of(table_.at(attempt), result, out), out);
  }
  if (slot.running == result.sequence) {
    slot.running = 0;
    slot.deadline = slot.term_at = slot.kill_at = slot.listen_at = TimePoint::max();
  }
  if (!slot.idle()) {
    slot.progress_at = now;
    slot.look_at = now + kLookAfter;
    look_next_ = std::min(look_next_, slot.look_at);
  }
  slot.tidy();
}

// Back to its old place in the queue, unless it is not to be begun here any more.
void Core::requeue(AttemptIndex index, Effects& out) {
  Attempt& attempt = table_.at(index);
  attempt.sequence = 0;
  if (attempt.stop_wanted || attempt.abandoned) {
    finish(index, Ending(Outcome::Cancelled), out);
  } else if (draining_) {
    finish(index, Ending(Outcome::HandedBack, kLeaving), out);
  } else if (!types_.offered(attempt.type)) {
    finish(index, Ending(Outcome::HandedBack, kWithdrawn), out);
  } else {
    table_.push(index);
  }
}

void Core::stop(AttemptIndex index, TimePoint now, Effects& out) {
  Attempt& attempt = table_.at(index);
  attempt.stop_wanted = true;
  if (attempt.state == AttemptState::Queued) {
    table_.unlink(index);
    finish(index, Ending(Outcome::Cancelled), out);
  } else if (attempt.state == AttemptState::Handed) {
    if (slots_[attempt.slot].running == attempt.sequence) {
      ask_to_end(attempt.slot, attempt.sequence, now, out);
    } else {  // it may not have begun yet: then it comes back, and so do the others of its batch, to be handed out anew
      take_back(attempt.slot, out);
    }
  }
}

void Core::take_back(SlotIndex index, Effects& out) {
  Slot& slot = slots_[index];
  if (slot.taking_back || slot.killed) return;
  slot.taking_back = true;
  out.orders.push_back({Order::Kind::TakeBack, index, 0});
}

void Core::ask_to_end(SlotIndex index, Sequence sequence, TimePoint now, Effects& out) {
  Slot& slot = slots_[index];
  if (slot.kill_at != TimePoint::max() || slot.killed) return;
  out.orders.push_back({Order::Kind::Cancel, index, sequence});
  slot.term_at = now + config_.kill_grace / 2;
  slot.kill_at = now + config_.kill_grace;
  look_next_ = std::min({look_next_, slot.term_at, slot.kill_at});
}

// The host of this slot is seen to be at `running`.
void Core::found_running(SlotIndex index, Sequence running, TimePoint started, TimePoint now, Effects& out) {
  Slot& slot = slots_[index];
  slot.look_at = now + kLookAfter;
  Slot::Entry* entry = slot.find(running);
  if (entry != nullptr && running >= slot.running) {  // a host goes forward, and says once when it began
    Attempt& attempt = table_.at(entry->attempt);
    if (slot.running != running) {
      slot.running = running;
      slot.began = std::clamp(started, slot.handed_at, now);
      slot.deadline = slot.began + attempt.timeout;
      slot.listen_at = TimePoint::max();
    }
    // Nothing to see before it ends, its time is over, or somebody else asks.
    const bool lasting = now - slot.began >= kLookAfter / 2 || attempt.timeout < kLookAfter;
    if (lasting) {
      slot.look_at = TimePoint::max();
      if (slot.listen_at == TimePoint::max()) {
        slot.listen_at = now;
        slot.tell_again = false;
      }
      if (!attempt.reported && !attempt.stop_wanted && !left_) {
        attempt.reported = true;
        out.started.attempts.push_back(attempt.id);
      }
    }
    if (attempt.stop_wanted) ask_to_end(index, running, now, out);
  } else if (now - slot.progress_at >= config_.start_timeout && !slot.killed) {
    slot.killed = slot.never_began = true;
    out.orders.push_back({Order::Kind::Kill, index, 0});
  }
  look_next_ = std::min({look_next_, slot.look_at, slot.deadline, slot.term_at, slot.kill_at, slot.listen_at});
}

void Core::on_looked(SlotIndex index, Sequence running, TimePoint started, TimePoint now, Effects& out) {
  if (index >= slots_.size() || slots_[index].idle()) return;
  found_running(index, running, started, now, out);
  Slot& slot = slots_[index];
  // Others wait behind one that takes long: they may go elsewhere, and be recalled.
  if (slot.running != 0 && slot.look_at == TimePoint::max() && slot.open() > 1) {
    take_back(index, out);
  }
}

void Core::on_taken_back(SlotIndex index, Sequence running, TimePoint started, TimePoint now, Effects& out) {
  if (index >= slots_.size() || slots_[index].idle()) return;
  Slot& slot = slots_[index];
  slot.taking_back = false;
  for (std::size_t i = 0; i < slot.size(); ++i) {
    Slot::Entry& entry = slot.entry(i);
    if (entry.attempt == kNone || entry.sequence <= running) continue;
    const AttemptIndex attempt = entry.attempt;
    close_entry(index, entry);
    requeue(attempt, out);
  }
  slot.tidy();
  if (!slot.idle()) found_running(index, running, started, now, out);
}

void Core::on_host_lost(SlotIndex index, const HostLoss& loss, TimePoint now, Effects& out) {
  if (index >= slots_.size() || slots_[index].idle()) return;
  ++counters_.hosts_lost;
  Slot& slot = slots_[index];
  const bool killed = slot.killed;
  slot.killed = true;  // so that closing its entries does not set it free before all are gone through
  // The one that had begun, and was not answered, is to blame. If that cannot be said and nothing was answered either,
  // it is the first one, so that no death is without an end to something and the same cannot go on for ever.
  Slot::Entry* blamed = slot.find(loss.running);
  if (blamed == nullptr && (killed ? slot.never_began : !slot.answered)) blamed = slot.first();

  for (std::size_t i = 0; i < slot.size(); ++i) {
    Slot::Entry& entry = slot.entry(i);
    if (entry.attempt == kNone) continue;
    const bool is_blamed = &entry == blamed;
    const AttemptIndex attempt_index = entry.attempt;
    const Sequence entry_sequence = entry.sequence;
    const TimePoint began = slot.deadline == TimePoint::max()
                                ? slot.handed_at
                                : std::max(slot.deadline - table_.at(attempt_index).timeout, slot.handed_at);
    close_entry(index, entry);
    Attempt& attempt = table_.at(attempt_index);
    if (is_blamed) {
      Ending ending(Outcome::Crashed, loss.reason, now - began);
      ending.traceback = loss.output;
      if (entry_sequence == loss.running) {
        ending.logs = loss.logs;
        ending.checkpoint = loss.checkpoint;
      }
      ending.plugin = loss.plugin;
      if (attempt.abandoned || attempt.stop_wanted) {
        ending = Ending(Outcome::Cancelled, {}, now - began);
      } else if (attempt.overdue) {
        ending.outcome = Outcome::Timeout;
        const std::string met = loss.met.empty() ? "" : "; " + loss.met;
        ending.error_message = out.texts.emplace_back(timeout_text(attempt, "; it went on and was killed" + met));
      } else if (slot.never_began) {
        ending.error_message = "the handler process did not begin with it in time and was killed";
      } else if (killed) {  // by us, for another one that ended at that moment
        requeue(attempt_index, out);
        continue;
      }
      finish(attempt_index, ending, out);
    } else {
      requeue(attempt_index, out);
    }
  }
  slot.tidy();
  slot.killed = false;
  set_free(index);
}

void Core::look_after_slots(TimePoint now, Effects& out) {
  look_next_ = TimePoint::max();
  if (busy_ == 0) return;
  for (SlotIndex s = 0; s < slots_.size(); ++s) {
    Slot& slot = slots_[s];
    if (slot.idle()) continue;
    if (now >= slot.kill_at && !slot.killed) {
      slot.killed = true;
      out.orders.push_back({Order::Kind::Kill, s, 0});
    }
    if (slot.killed) {
      slot.term_at = slot.kill_at = slot.deadline = slot.look_at = slot.listen_at = TimePoint::max();
      continue;
    }
    if (now >= slot.term_at) {
      slot.term_at = TimePoint::max();
      out.orders.push_back({Order::Kind::Terminate, s, 0});
    }
    if (now >= slot.deadline) {
      slot.deadline = TimePoint::max();
      if (Slot::Entry* entry = slot.find(slot.running)) {
        table_.at(entry->attempt).overdue = true;
        ask_to_end(s, slot.running, now, out);
      }
    }
    if (now >= slot.look_at) {
      slot.look_at = now + kLookAfter;  // found_running() says better
      out.orders.push_back({Order::Kind::Look, s, 0});
    }
    if (now >= slot.listen_at) {
      // On a grid of its own, so that the slots of a busy worker do not wake it one by one.
      slot.listen_at = TimePoint((now.time_since_epoch() / kListenEach + 1) * kListenEach);
      if (session_.joined() && slot.running != 0) {
        out.orders.push_back({Order::Kind::Listen, s, slot.running, std::exchange(slot.tell_again, false)});
      }
    }
    look_next_ = std::min({look_next_, slot.look_at, slot.deadline, slot.term_at, slot.kill_at, slot.listen_at});
  }
}

void Core::on_told(SlotIndex index, const HostTold& told, Effects& out) {
  if (index >= slots_.size()) return;
  Slot::Entry* entry = slots_[index].find(told.sequence);
  if (entry == nullptr) return;
  const Attempt& attempt = table_.at(entry->attempt);
  if (attempt.stop_wanted || attempt.abandoned || left_) return;  // nobody wants to know
  ProgressItem& item = out.progress.attempts.emplace_back();
  item.attempt = attempt.id;
  item.fraction = told.fraction;
  item.text = out.texts.emplace_back(told.text);
  item.first_line = told.first_line;
  item.logs = out.texts.emplace_back(told.logs);
  item.checkpoint = out.texts.emplace_back(told.checkpoint);
}

void Core::on_progress_not_sent() {
  for (Slot& slot : slots_) slot.tell_again = true;
}

}  // namespace retire::worker
