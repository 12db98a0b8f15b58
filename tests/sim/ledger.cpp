#include "tests/sim/ledger.hpp"

#include <algorithm>

namespace retire::sim {
namespace {

constexpr Duration kClosedBeforeItLeftMax = std::chrono::milliseconds(50);

bool contains(const std::vector<AttemptId>& all, AttemptId one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

void Ledger::restart() {
  devices_.clear();
  by_connection_.clear();
  current_.clear();
  asked_.clear();
  failures_.clear();
  device_failures_.clear();
  for_good_.clear();
  turn_at_ = {};
}

void Ledger::begin_turn(TimePoint now) {
  if (now == turn_at_) return;
  const Duration gap = now - turn_at_;
  for (auto& [name, device] : devices_) {
    device.away = device.connection.empty() || turn_at_ - device.heard_at >= rules_.offline_after;
  }
  if (turn_at_ != TimePoint{} && gap > rules_.frozen_after) {
    for (auto& [name, device] : devices_) {
      const bool heard_lately = !device.connection.empty() && turn_at_ - device.heard_at < rules_.offline_after;
      if (heard_lately || !device.held.empty()) device.heard_at = std::min(now, device.heard_at + gap);
    }
  }
  turn_at_ = now;
}

void Ledger::end_turn(TimePoint now) {
  begin_turn(now);
  for (auto& [name, device] : devices_) {
    if (now - device.heard_at < rules_.lease) continue;
    while (!device.held.empty()) drop(device, device.held.begin()->first);
    close(device);
  }
}

void Ledger::drop(Device& device, AttemptId attempt) {
  device.abandoned.erase(attempt);
  device.ended.insert(attempt);
  const auto held = device.held.find(attempt);
  if (held == device.held.end()) return;
  if (const auto at = current_.find(held->second.task); at != current_.end() && at->second.second == attempt) {
    current_.erase(at);
  }
  device.held.erase(held);
}

void Ledger::close(Device& device) {
  by_connection_.erase(device.connection);
  device.connection.clear();
}

void Ledger::hello(const std::string& connection, const Hello& hello, TimePoint now) {
  if (!hello.device) return;
  Device& device = devices_[hello.device->device_id];
  close(device);
  device.connection = connection;
  by_connection_[connection] = hello.device->device_id;
  device.slots = hello.device->slots;
  device.draining = hello.draining;
  device.abandoned.clear();
  device.ended.clear();
  device.heard_at = now;
  device.away = false;
  std::vector<AttemptId> gone;
  for (auto& [attempt, held] : device.held) {
    held.number = 0;
    if (!contains(hello.held, attempt)) gone.push_back(attempt);
  }
  for (const AttemptId attempt : gone) {
    drop(device, attempt);
    if (device.instance == hello.instance) device.abandoned.insert(attempt);
  }
  device.instance = hello.instance;
}

void Ledger::finish(const std::string& name, Device& device, const FinishedItem& item) {
  const auto held = device.held.find(item.attempt);
  if (held != device.held.end() && held->second.task == item.task) {
    const auto at = current_.find(item.task);
    const bool current = at != current_.end() && at->second.second == item.attempt;
    switch (item.outcome) {
      case Outcome::Success: break;
      case Outcome::FailedPermanently:
        if (current) for_good_.insert(item.task);
        break;
      case Outcome::Failed:
      case Outcome::Timeout:
      case Outcome::Crashed:
        ++device_failures_[name];
        if (current) ++failures_[item.task];
        break;
      case Outcome::Cancelled:
      case Outcome::HandedBack: break;
    }
  }
  drop(device, item.attempt);
}

void Ledger::received(const std::string& connection, const protocol::Envelope& envelope, std::uint64_t correlation,
                      TimePoint now) {
  begin_turn(now);
  if (envelope.type == MessageType::Hello) {
    Hello message;
    RC_ASSERT(protocol::decode(envelope.body, message).ok());
    hello(connection, message, now);
    return;
  }
  if (envelope.type == MessageType::Device) {
    DeviceControl control;
    RC_ASSERT(protocol::decode(envelope.body, control).ok());
    const auto named = devices_.find(control.device_id);
    if (named == devices_.end()) return;
    if (control.action == DeviceControl::Action::Remove) {  // refused while it is connected
      if (named->second.away || named->second.connection.empty()) forget(control.device_id);
      return;
    }
    asked_[{connection, correlation}] = {control.device_id, named->second.drained};
    named->second.drained = control.action == DeviceControl::Action::Drain;
    return;
  }
  const auto known = by_connection_.find(connection);
  if (known == by_connection_.end()) return;
  Device& device = devices_.at(known->second);
  device.heard_at = now;
  device.away = false;
  switch (envelope.type) {
    case MessageType::Heartbeat: {
      Heartbeat message;
      RC_ASSERT(protocol::decode(envelope.body, message).ok());
      std::vector<AttemptId> gone;
      for (const auto& [attempt, held] : device.held) {
        // It counts from when it was closed; one that may run only once left when its dispatch was on the disk.
        const bool overdue = now - held.at > rules_.offline_after - kClosedBeforeItLeftMax;
        const bool settled = held.number <= message.seen || overdue;
        if (settled && !contains(message.held, attempt)) gone.push_back(attempt);
      }
      for (const AttemptId attempt : device.abandoned) {
        if (!contains(message.held, attempt)) gone.push_back(attempt);
      }
      for (const AttemptId attempt : gone) drop(device, attempt);
      break;
    }
    case MessageType::Finished: {
      Finished message;
      RC_ASSERT(protocol::decode(envelope.body, message).ok());
      for (const FinishedItem& item : message.results) finish(known->second, device, item);
      break;
    }
    case MessageType::Returned: {
      AttemptIds message;
      RC_ASSERT(protocol::decode_attempts(envelope.body, message).ok());
      for (const AttemptId attempt : message.attempts) drop(device, attempt);
      break;
    }
    case MessageType::Drain: device.draining = true; break;
    case MessageType::Goodbye:
      while (!device.held.empty()) drop(device, device.held.begin()->first);
      close(device);
      break;
    default: break;
  }
}

void Ledger::sent_welcome(const std::string& connection, const Welcome& welcome) {
  const auto known = by_connection_.find(connection);
  if (known == by_connection_.end()) return;
  Device& device = devices_.at(known->second);
  for (const AttemptId attempt : welcome.abandon) {
    if (!device.ended.contains(attempt)) device.abandoned.insert(attempt);
  }
}

std::vector<std::string> Ledger::sent_assign(const std::string& connection, std::uint64_t number, const Assign& assign,
                                             bool late, const std::map<TaskId, TaskSpec>& specs, TimePoint now) {
  begin_turn(now);
  std::vector<std::string> wrong;
  const auto known = by_connection_.find(connection);
  if (known == by_connection_.end()) return {"an assign went to a connection without a device"};
  const std::string& name = known->second;
  Device& device = devices_.at(name);
  if (!late && draining(name)) wrong.push_back(name + " drains and is given tasks");
  if (!late && now - device.heard_at >= rules_.offline_after) wrong.push_back(name + " is silent and is given tasks");
  for (const AssignItem& item : assign.tasks) {
    const auto say = [&](const std::string& what) { wrong.push_back("task " + item.task.text() + " " + what); };
    const Requirements requirements = specs.contains(item.task) ? specs.at(item.task).requirements : Requirements{};
    if (const auto at = current_.find(item.task); at != current_.end()) {
      const auto& [holder, attempt] = at->second;
      if (now - devices_[holder].heard_at < rules_.lease) {
        say("went to " + name + " while " + holder + " has it and its lease runs");
      }
      drop(devices_[holder], attempt);
    }
    const bool never_ahead = !requirements.resources.empty() || requirements.at_most_once;
    if (never_ahead && device.held.size() >= device.slots) say("was sent ahead to " + name + " and must not be");
    if (!requirements.resources.empty() && !device.abandoned.empty()) {
      say("reserves on " + name + ", where abandoned attempts may hold the same");
    }
    if (failures(item.task) > static_cast<int>(requirements.retries())) say("was tried again too often");
    device.held[item.attempt] = {item.task, number, now};
    current_[item.task] = {name, item.attempt};
  }
  return wrong;
}

void Ledger::refused(const std::string& connection, std::uint64_t correlation) {
  const auto request = asked_.find({connection, correlation});
  if (request == asked_.end()) return;
  const auto& [name, drained] = request->second;
  if (const auto device = devices_.find(name); device != devices_.end()) device->second.drained = drained;
  asked_.erase(request);
}

void Ledger::cut(const std::string& connection) {
  if (const auto known = by_connection_.find(connection); known != by_connection_.end()) {
    close(devices_.at(known->second));
  }
}

void Ledger::forget(const std::string& name) {
  const auto at = devices_.find(name);
  if (at == devices_.end()) return;
  while (!at->second.held.empty()) drop(at->second, at->second.held.begin()->first);
  close(at->second);
  devices_.erase(at);
}

bool Ledger::draining(const std::string& name) const {
  const auto at = devices_.find(name);
  return at != devices_.end() && (at->second.draining || at->second.drained);
}

int Ledger::device_failures(const std::string& name) const {
  const auto at = device_failures_.find(name);
  return at == device_failures_.end() ? 0 : at->second;
}

int Ledger::failures(const TaskId& task) const {
  const auto at = failures_.find(task);
  return at == failures_.end() ? 0 : at->second;
}

const std::string* Ledger::device_of(const std::string& connection) const {
  const auto at = by_connection_.find(connection);
  return at == by_connection_.end() ? nullptr : &at->second;
}

}  // namespace retire::sim
