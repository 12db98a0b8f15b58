#include "tests/sim/auditor.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace retire::sim {
namespace {

// SIM_TASK=…: prints what is seen of one task, to find out how a seed went wrong.
bool is_looked_at(const TaskId& task) {
  static const char* const wanted = std::getenv("SIM_TASK");
  return wanted != nullptr && task.text() == wanted;
}

std::string name(const TaskId& task) { return "task " + task.text(); }

}  // namespace

void Auditor::trace(std::string_view bytes) {
  for (const char byte : bytes) trace_ = (trace_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3ull;
}

// What was answered stands; what was asked and not answered may have been done or not.
void Auditor::remembered_pauses(const core::Scheduler& scheduler) {
  paused_ = scheduler.paused();
  const std::vector<std::string> types = scheduler.catalog().paused_types();
  paused_types_ = {types.begin(), types.end()};
  if (durable_) {
    for (const std::string& type : paused_types_) pauses_answered_.try_emplace(type, false);
    pauses_answered_.try_emplace("", false);
    for (auto& [type, answered] : pauses_answered_) {
      const bool is = type.empty() ? paused_ : paused_types_.contains(type);
      bool explained = is == answered;
      for (const PauseAsked& asked : pauses_asked_) explained = explained || (asked.type == type && asked.pause == is);
      if (!explained) breach("after a restart \"" + type + "\" is " + (is ? "" : "not ") + "paused");
      if (is) marks_.hit("paused over a restart");
      answered = is;
    }
  } else if (paused_ || !paused_types_.empty()) {
    breach("paused from the start");
  }
  pauses_asked_.clear();
}

void Auditor::on_restart(const std::vector<TaskId>& kept, const core::Scheduler& scheduler) {
  marks_.hit("main started");
  ++starts_;
  devices_by_connection_.clear();
  known_connections_.clear();
  order_.clear();
  for (const TaskId& task : kept) order_[task] = ++received_;
  given_.clear();
  decided_.clear();
  counters_ = {};
  remembered_pauses(scheduler);
  quarantined_.clear();
  waits_.clear();
  group_served_.clear();
  newest_attempt_ = 0;
  ledger_.restart();
  if (durable_) {
    if (starts_ > 1) marks_.hit("main remembered over a restart", kept.empty() ? 0 : 1);
    for (const TaskId& task : accepted_) {
      if (!order_.contains(task)) breach(name(task) + " was acknowledged and is gone after a restart");
    }
    return;
  }
  told_.clear();
  may_change_.clear();
  executions_.clear();
  retries_.clear();
}

void Auditor::on_received(const std::string& connection, std::string_view frame, TimePoint now) {
  trace(connection);
  trace(frame);
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  RC_ASSERT(envelope.ok());
  if (known_connections_.contains(connection) || envelope.value().type == MessageType::Hello) {
    ledger_.received(connection, envelope.value(), correlation, now);
  }
  switch (envelope.value().type) {
    case MessageType::Hello: {
      Hello hello;
      RC_ASSERT(protocol::decode(envelope.value().body, hello).ok());
      known_connections_.insert(connection);
      if (!hello.device) break;
      devices_by_connection_[connection] = hello.device->device_id;
      devices_[hello.device->device_id] = *hello.device;
      break;
    }
    case MessageType::Submit:
      if (!known_connections_.contains(connection)) break;  // main will ask for hello first
      RC_ASSERT(protocol::decode(envelope.value().body, submit_).ok());
      for (const SubmitItem& item : submit_.tasks) {
        if (!order_.contains(*item.id)) order_[*item.id] = ++received_;
        specs_[*item.id] = submit_.specs[item.spec];
      }
      break;
    case MessageType::Retry: {
      TaskIds ids;
      RC_ASSERT(protocol::decode_ids(envelope.value().body, "ids", ids).ok());
      for (const TaskId& id : ids.ids) {
        if (is_looked_at(id)) std::printf("main is asked to retry it\n");
        may_change_.insert(id);
        ledger_.retried(id);
        ++retries_[id];
      }
      break;
    }
    case MessageType::Finished:
      RC_ASSERT(protocol::decode(envelope.value().body, finished_).ok());
      for (const FinishedItem& item : finished_.results) {
        if (!is_looked_at(item.task)) continue;
        std::printf("%s reports attempt %llu: %s\n", devices_by_connection_[connection].c_str(),
                    static_cast<unsigned long long>(item.attempt.value()),
                    std::string(to_string(item.outcome)).c_str());
      }
      break;
    case MessageType::Queue: {
      if (!known_connections_.contains(connection)) break;
      QueueControl control;
      RC_ASSERT(protocol::decode(envelope.value().body, control).ok());
      const bool pause = control.action == QueueControl::Action::Pause;
      pauses_asked_.push_back({connection, correlation, control.type, pause});
      if (control.type.empty()) {
        paused_ = pause;
      } else if (pause) {
        paused_types_.insert(control.type);
      } else {
        paused_types_.erase(control.type);
      }
      break;
    }
    default: break;
  }
}

void Auditor::on_sent(const std::string& connection, std::string_view frame, TimePoint now) {
  trace(frame);
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  RC_ASSERT(envelope.ok());
  if (envelope.value().type == MessageType::Assign) {
    RC_ASSERT(protocol::decode(envelope.value().body, assign_).ok());
    const std::string& device = devices_by_connection_[connection];
    for (const std::string& wrong :
         ledger_.sent_assign(connection, correlation, assign_, was_decided(assign_), specs_, now))
      breach(wrong);
    for (const AssignItem& item : assign_.tasks) {
      if (is_looked_at(item.task)) {
        std::printf("assigned to %s, attempt %llu\n", device.c_str(),
                    static_cast<unsigned long long>(item.attempt.value()));
      }
      const auto spec = specs_.find(item.task);
      if (spec == specs_.end()) {
        breach(name(item.task) + " was assigned and nobody submitted it");
      } else if (!could_run(spec->second, devices_[device])) {
        breach(name(item.task) + " was assigned to " + device + ", which cannot run it");
      }
      given_.push_back({item.task, item.attempt, device});
    }
  } else if (envelope.value().type == MessageType::Welcome) {
    Welcome welcome;
    RC_ASSERT(protocol::decode(envelope.value().body, welcome).ok());
    ledger_.sent_welcome(connection, welcome);
  } else if (envelope.value().type == MessageType::Error) {
    ledger_.refused(connection, correlation);
  } else if (envelope.value().type == MessageType::Done) {
    const auto asked = std::find_if(pauses_asked_.begin(), pauses_asked_.end(), [&](const PauseAsked& one) {
      return one.connection == connection && one.correlation == correlation;
    });
    if (asked != pauses_asked_.end()) {
      // What was asked before it was done before it, whether its answer has arrived or not.
      for (auto at = pauses_asked_.begin(); at <= asked; ++at) pauses_answered_[at->type] = at->pause;
      pauses_asked_.erase(pauses_asked_.begin(), asked + 1);
    }
  } else if (envelope.value().type == MessageType::Results) {
    RC_ASSERT(protocol::decode(envelope.value().body, results_).ok());
    for (const ResultItem& item : results_.results) tell(item);
  }
}

void Auditor::on_not_sent(const std::string& connection, std::string_view frame, TimePoint now) {
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
  RC_ASSERT(envelope.ok());
  if (envelope.value().type == MessageType::Assign) {
    RC_ASSERT(protocol::decode(envelope.value().body, assign_).ok());
    for (const std::string& wrong :
         ledger_.sent_assign(connection, correlation, assign_, was_decided(assign_), specs_, now))
      breach(wrong);
  }
  marks_.hit("connection known to be gone");
  ledger_.cut(connection);
}

void Auditor::tell(const ResultItem& item) {
  const std::string data(item.data.value_or(""));
  if (is_looked_at(item.id)) {
    std::printf("told: %s %s\n", std::string(to_string(item.status)).c_str(), std::string(item.error_message).c_str());
  }
  const auto [told, fresh] = told_.try_emplace(item.id, Told{item.status, data});
  if (fresh || (told->second.status == item.status && told->second.data == data)) return;
  if (!may_change_.erase(item.id)) breach(name(item.id) + " ended twice, in different ways");
  told->second = {item.status, data};
}

void Auditor::on_accepted(const TaskId& task) { accepted_.insert(task); }

void Auditor::on_lost(const TaskId& task) {
  if (durable_ && accepted_.contains(task)) breach(name(task) + " was acknowledged and main does not know it");
}

void Auditor::on_result(const ResultItem& item) {
  if (!is_final(item.status)) breach(name(item.id) + " has a result and is not final");
  if (item.status == TaskStatus::Success && !item.data.value_or("").starts_with(item.id.bytes())) {
    breach(name(item.id) + " has the result of another task");
  }
}

void Auditor::on_execution(const std::string& device, const TaskId& task, TimePoint now) {
  trace(device);
  trace(std::to_string(now.time_since_epoch().count()));
  const int times = ++executions_[task];
  if (is_looked_at(task)) std::printf("%.3f runs on %s\n", to_seconds(now.time_since_epoch()), device.c_str());
  const auto spec = specs_.find(task);
  // A main that has lost its memory is given the task anew; what an earlier one has sent may still run.
  const bool once = spec != specs_.end() && spec->second.requirements.at_most_once && (starts_ == 1 || durable_);
  if (once && times > 1 + retries_[task]) {
    breach(name(task) + " may run only once and ran again");
  }
}

// Whether all of it was: then its device may have changed since, as it may while an assign is on its way.
bool Auditor::was_decided(const Assign& assign) const {
  return std::all_of(assign.tasks.begin(), assign.tasks.end(),
                     [&](const AssignItem& item) { return decided_.contains(item.attempt); });
}

// What is given out meanwhile is in no order: tasks that may have ended wait until that is known.
void Auditor::on_loading(const core::Scheduler& scheduler) {
  attempted_.clear();
  scheduler.tasks().newest_first(0, [&](core::TaskIndex task) {
    if (scheduler.tasks().attempt(task)) attempted_.push_back(task);
    return true;
  });
  given_.clear();
  note_decided(scheduler);
}

// Those that leave later (the payload is fetched first, or the dispatch must be durable) were first in line now.
void Auditor::note_decided(const core::Scheduler& scheduler) {
  decided_.clear();
  if (!durable_) return;
  for (const core::TaskIndex place : attempted_) {
    const core::Attempt& attempt = scheduler.attempt(scheduler.tasks().attempt(place));
    if (attempt.assign == core::kNotSent) marks_.hit("payload fetched from the store");
    decided_.insert(attempt.id);
  }
}

void Auditor::mark_counters(const core::Scheduler& scheduler) {
  const core::Counters& now = scheduler.counters();
  marks_.hit("late result", now.results_stale - counters_.results_stale);
  marks_.hit("attempt lost", now.attempts_lost - counters_.attempts_lost);
  marks_.hit("recall for a higher priority", now.recalled_for_urgent - counters_.recalled_for_urgent);
  marks_.hit("retry", now.retried - counters_.retried);
  marks_.hit("tasks taken back", now.recalled - counters_.recalled);
  marks_.hit("quarantine", now.quarantined - counters_.quarantined);
  marks_.hit("quarantine released", now.released - counters_.released);
  marks_.hit("lease expired", now.leases_expired - counters_.leases_expired);
  marks_.hit("cancel crossing a result", now.results_unwanted - counters_.results_unwanted);
  marks_.hit("resource freed by a lost device", now.resources_freed_by_loss - counters_.resources_freed_by_loss);
  marks_.hit("ageing past a higher priority", now.aged_past - counters_.aged_past);
  marks_.hit("set aside as poison", now.poisoned - counters_.poisoned);
  marks_.hit("at most once and lost", now.lost_once - counters_.lost_once);
  marks_.hit("retry by command", now.retried_by_command - counters_.retried_by_command);
  marks_.hit("retry on another device", now.avoided - counters_.avoided);
  marks_.hit("attempt of a former main kept", now.readopted - counters_.readopted);
  counters_ = now;
}

}  // namespace retire::sim
