// What devices hold, as anybody could tell who only sees main's messages: for the auditor, so that it need not believe
// what main says of its devices. Simple and slow; shares no code with the core.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/model/messages.hpp"
#include "common/protocol/codec.hpp"

namespace retire::sim {

struct LedgerRules {
  Duration offline_after{};
  Duration lease{};
  Duration frozen_after{};
};

class Ledger {
 public:
  explicit Ledger(const LedgerRules& rules) : rules_(rules) {}

  void restart();
  // Whose lease is over loses its session, and what it has.
  void end_turn(TimePoint now);
  void received(const std::string& connection, const protocol::Envelope& envelope, std::uint64_t correlation,
                TimePoint now);
  void sent_welcome(const std::string& connection, const Welcome& welcome);
  // An assign message has left. Returns what is wrong with it, in words.
  std::vector<std::string> sent_assign(const std::string& connection, std::uint64_t number, const Assign& assign,
                                       bool late, const std::map<TaskId, TaskSpec>& specs, TimePoint now);
  void cut(const std::string& connection);                                 // it is known to be gone
  void forget(const std::string& device);                                  // an administrator removed it
  void refused(const std::string& connection, std::uint64_t correlation);  // main did not do what was asked
  void retried(const TaskId& task) { failures_.erase(task); }

  bool draining(const std::string& device) const;
  // Failed, timed-out and crashed attempts there.
  int device_failures(const std::string& device) const;
  // Attempts of the task that failed on devices which held them, since it was submitted or brought back.
  int failures(const TaskId& task) const;
  bool failed_for_good(const TaskId& task) const { return for_good_.contains(task); }
  const std::string* device_of(const std::string& connection) const;

 private:
  // At the first word of each turn: main that stood still blames nobody for the time.
  void begin_turn(TimePoint now);
  struct Held {
    TaskId task;
    std::uint64_t number = 0;  // of the assign message; 0: of an earlier session
    TimePoint at{};
  };
  struct Device {
    std::string connection;  // empty: no session
    InstanceId instance;
    std::uint32_t slots = 1;
    std::map<AttemptId, Held> held;
    std::set<AttemptId> abandoned;
    std::set<AttemptId> ended;  // since its hello, whose answer leaves later and may still name them
    TimePoint heard_at{};
    bool away = true;       // when the last turn ended; not when it has been heard since
    bool draining = false;  // by its own wish
    bool drained = false;   // by an administrator's
  };
  void hello(const std::string& connection, const Hello& hello, TimePoint now);
  void drop(Device& device, AttemptId attempt);
  void finish(const std::string& name, Device& device, const FinishedItem& item);
  void close(Device& device);

  LedgerRules rules_;
  TimePoint turn_at_{};
  std::map<std::string, Device> devices_;
  std::map<std::string, std::string> by_connection_;
  std::map<TaskId, std::pair<std::string, AttemptId>> current_;  // the device that has it
  // Devices whose drain was changed by a request that main may yet refuse, and what it was before.
  std::map<std::pair<std::string, std::uint64_t>, std::pair<std::string, bool>> asked_;
  std::map<TaskId, int> failures_;
  std::map<std::string, int> device_failures_;  // by device, also over its removal
  std::set<TaskId> for_good_;
};

}  // namespace retire::sim
