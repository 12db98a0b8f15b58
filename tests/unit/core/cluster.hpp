// A scheduler with a clock that is told, and what its tests say to it in a few words.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "broker/core/scheduler.hpp"

namespace retire::core::testing {

using namespace std::chrono_literals;

// What was sent to a device and not answered yet.
struct Sent {
  std::string device;
  AttemptId attempt;
  TaskId task;
};

inline TaskSpec spec_of(const std::string& type, Priority priority = Priority::Normal, Requirements requirements = {},
                        const std::string& group = "") {
  return {type, priority, std::move(requirements), group};
}

class Cluster {
 public:
  explicit Cluster(SchedulerConfig config = {}) : scheduler(config, 1, 42) {}

  static Capabilities device_of(const std::string& id, std::uint32_t slots = 1,
                                std::vector<std::string> handlers = {"echo"}) {
    Capabilities out;
    out.device_id = id;
    out.platform = "linux";
    out.role = "worker";
    out.cpu_count = 4;
    out.memory_total_gb = 8;
    out.storage_total_gb = 100;
    out.slots = slots;
    out.handlers = std::move(handlers);
    EXPECT_TRUE(normalize(out).ok());
    return out;
  }

  DeviceIndex join(const Capabilities& capabilities, const std::vector<AttemptId>& held = {}) {
    abandoned.clear();
    const DeviceIndex device = scheduler.join(capabilities, InstanceId(1, 1), held, false, now, abandoned, effects);
    settle();
    return device;
  }
  DeviceIndex join(const std::string& id, std::uint32_t slots = 1, std::vector<std::string> handlers = {"echo"}) {
    return join(device_of(id, slots, std::move(handlers)));
  }

  TaskId submit(const TaskSpec& spec, const std::string& payload = "p") {
    const TaskId id(7, ++ids_);
    Submit batch;
    batch.specs = {spec};
    batch.tasks = {{id, 0, payload, {}}};
    const auto outcome = scheduler.submit(batch, 0, now, effects);
    EXPECT_TRUE(std::holds_alternative<SubmitOutcome>(outcome));
    settle();
    return id;
  }

  // Lets time pass in one step.
  void pass(Duration duration) {
    now.monotonic += duration;
    now.wall += duration;
    settle();
  }
  // Lets time pass while every device goes on speaking.
  void pass_alive(Duration duration) {
    for (Duration left = duration; left > Duration::zero(); left -= 1s) {
      now.monotonic += std::min<Duration>(left, 1s);
      now.wall += std::min<Duration>(left, 1s);
      for (const auto& report : scheduler.device_reports("")) {
        if (report.connected) beat(report.capabilities->device_id);
      }
      settle();
    }
  }
  void beat(const std::string& id, const std::string& paused = "") {
    Heartbeat heartbeat;
    heartbeat.from_worker = true;
    heartbeat.seen = 1u << 30;
    heartbeat.paused = paused;
    for (const Sent& one : sent) {
      if (one.device == id) heartbeat.held.push_back(one.attempt);
    }
    scheduler.heartbeat(scheduler.find_device(id), heartbeat, now, effects);
  }

  // Ends the attempt of a task that was sent.
  void finish(const TaskId& task, Outcome outcome = Outcome::Success, Duration run = 1s,
              const std::string& error = "") {
    const Sent one = take(task);
    finish(one, outcome, run, error);
  }
  void finish(const Sent& one, Outcome outcome, Duration run = 1s, const std::string& error = "") {
    FinishedItem item;
    item.task = one.task;
    item.attempt = one.attempt;
    item.outcome = outcome;
    if (outcome == Outcome::Success) item.data = "r";
    item.run = run;
    item.error_message = error;
    scheduler.finished(scheduler.find_device(one.device), item, now, effects);
    settle();
  }
  void start(const TaskId& task) {
    const auto at = find_sent(task);
    const std::vector<AttemptId> attempts = {at->attempt};
    scheduler.started(scheduler.find_device(at->device), attempts, now, effects);
    settle();
  }
  bool cancel(const TaskId& task) {
    const std::optional<bool> done = scheduler.cancel(task, now, effects);
    settle();
    return done.value_or(false);
  }

  // Carries out what was decided, as the loop does.
  void settle() {
    scheduler.advance(now, effects);
    for (const AttemptIndex place : effects.assigns) {
      const Attempt& attempt = scheduler.attempt(place);
      scheduler.put_into_assign(place, now.monotonic);
      sent.push_back(
          {scheduler.device(attempt.device).capabilities.device_id, attempt.id, scheduler.task(attempt.task).id});
    }
    for (const Effects::Order& order : effects.recalls) recalled.push_back(order.attempt);
    for (const Effects::Order& order : effects.stops) stopped.push_back(order.attempt);
    for (const TaskIndex task : effects.ended) ended.push_back(scheduler.task(task).id);
    for (const DeviceIndex device : effects.lost) lost.push_back(scheduler.device(device).capabilities.device_id);
    effects.clear();
    scheduler.check_invariants(now);
  }

  std::vector<Sent>::iterator find_sent(const TaskId& task) {
    const auto at = std::find_if(sent.begin(), sent.end(), [&](const Sent& one) { return one.task == task; });
    EXPECT_NE(at, sent.end()) << "task " << task.text() << " was not sent";
    return at;
  }
  Sent take(const TaskId& task) {
    const auto at = find_sent(task);
    const Sent one = *at;
    sent.erase(at);
    return one;
  }
  bool is_sent(const TaskId& task) const {
    return std::any_of(sent.begin(), sent.end(), [&](const Sent& one) { return one.task == task; });
  }
  std::string device_with(const TaskId& task) { return find_sent(task)->device; }
  TaskStatus status(const TaskId& task) const { return scheduler.task(scheduler.find(task)).status; }
  std::string reason(const TaskId& task) const { return std::string(scheduler.reason(scheduler.find(task))); }
  TaskReport report(const TaskId& task) const { return scheduler.report(scheduler.find(task), true, true); }

  Scheduler scheduler;
  Effects effects;
  Now now{TimePoint(1h), WallTime(Duration(1'700'000'000'000'000))};
  std::vector<AttemptId> abandoned;
  std::vector<Sent> sent;
  std::vector<AttemptId> recalled;
  std::vector<AttemptId> stopped;
  std::vector<TaskId> ended;
  std::vector<std::string> lost;

 private:
  std::uint64_t ids_ = 0;
};

}  // namespace retire::core::testing
