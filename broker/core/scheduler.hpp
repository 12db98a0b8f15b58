// The broker's mind: which task runs where and when, and what becomes of it.
//
// A deterministic state machine: every call is an event that happened at `now`, and adds to `out` what must be done
// about it. No threads, sockets, files, clocks or randomness of its own; the same calls give the same effects.
//
// Total: every event is answered in every state. A peer that is late or wrong is ignored and counted, or refused with a
// code; it never trips an assertion. Precondition of all: `now` does not go backwards.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <queue>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

#include "broker/core/attempts.hpp"
#include "broker/core/catalog.hpp"
#include "broker/core/config.hpp"
#include "broker/core/devices.hpp"
#include "broker/core/effects.hpp"
#include "broker/core/live.hpp"
#include "broker/core/queue.hpp"
#include "broker/core/tasks.hpp"
#include "common/base/rng.hpp"
#include "common/base/time.hpp"
#include "common/model/messages.hpp"
#include "common/model/reports.hpp"

namespace retire::core {

// What happens as a matter of course and is only counted.
struct Counters {
  std::uint64_t submitted = 0;
  std::uint64_t submitted_again = 0;  // IDs that were known already
  std::uint64_t scheduled = 0;        // attempts assigned
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;  // tasks that ended failed or timed out
  std::uint64_t retried = 0;
  std::uint64_t results_stale = 0;  // of attempts that were given up
  std::uint64_t attempts_lost = 0;
  std::uint64_t recalled = 0;
  std::uint64_t recalled_for_urgent = 0;  // orders, not tasks that came back
  std::uint64_t quarantined = 0;
  std::uint64_t released = 0;                 // from quarantine
  std::uint64_t leases_expired = 0;           // of devices
  std::uint64_t results_unwanted = 0;         // successes of cancelled tasks
  std::uint64_t resources_freed_by_loss = 0;  // attempts with reservations that were lost with their device
  std::uint64_t aged_past = 0;                // assigned at a priority above their own
  std::uint64_t avoided = 0;                  // retries that went to another device
  std::uint64_t poisoned = 0;
  std::uint64_t lost_once = 0;  // at_most_once tasks that were lost
  std::uint64_t retried_by_command = 0;
  std::uint64_t checkpoints_refused = 0;  // there was no room for them
  std::uint64_t restored = 0;             // tasks of former runs
  std::uint64_t restored_running = 0;     // of them, those that were on a device
  std::uint64_t restored_ended = 0;
  std::uint64_t readopted = 0;  // attempts of former runs that their devices still held
};

struct SubmitOutcome {
  std::vector<TaskIndex> tasks;      // in the order of the batch
  std::vector<std::uint64_t> known;  // indexes of those that main knew already
};

// A record of a former run, as the store has it. What is not of its kind is empty.
struct Restored {
  Record::Kind kind = Record::Kind::Submitted;
  const TaskReport& task;  // views that need live no longer than the call
  StorePosition position = 0;
  std::uint64_t sequence = 0;  // in the order of submission
  AttemptId attempt;
  std::uint32_t failures = 0;
  std::uint32_t lost = 0;
  WallTime due{};  // of the next attempt
};

// A refusal that names the item of a batch.
struct BatchError {
  Error error;
  std::optional<std::uint64_t> index;
  std::optional<Duration> retry_after;
};

class Scheduler {
 public:
  // `epoch`: of this run of main, larger than every earlier one. Attempts, and tasks in the order of submission, are
  // numbered from epoch × 2^40 on, so that no number is used twice. `seed`: for retry jitter, sampling and the IDs of
  // tasks that came without one.
  Scheduler(const SchedulerConfig& config, std::uint64_t epoch, std::uint64_t seed);

  // --- clients ---

  // All or nothing. Views in `batch` are copied. `watcher` is told the results of all of them (0: nobody).
  // Errors: Conflict (an ID in use for other content), Busy (a limit of the queue, with retry_after).
  std::variant<SubmitOutcome, BatchError> submit(const Submit& batch, Watcher watcher, Now now, Effects& out);
  // True if it was not final yet; nullopt for an unknown task.
  std::optional<bool> cancel(const TaskId& id, Now now, Effects& out);
  // Brings a failed or timed-out task back under its ID, with all its retries; its earlier end is in its error history.
  // False if it is in another state; nullopt for an unknown task.
  std::optional<bool> retry(const TaskId& id, Now now, Effects& out);
  // Stops handing out tasks: of one type, or all (empty). What is not started is taken back.
  void pause(const std::string& type, Now now, Effects& out);
  void resume(const std::string& type, Now now, Effects& out);
  bool paused() const { return paused_; }
  TaskIndex find(const TaskId& id) const { return tasks_.find(id); }
  // False if somebody else is told already: the shell keeps further watchers itself.
  bool watch(TaskIndex task, Watcher watcher);
  void unwatch(TaskIndex task) { tasks_[task].watcher = 0; }

  // --- the store ---

  // The record was appended and lies at `position`. What it supersedes is added to `out.released`; its payload may be
  // let go of when the memory budget is used up.
  void recorded(const Record& record, StorePosition position, Effects& out);

  // After a restart: begin_restore(); the records of every unfinished task, each task's own in order; queue_restored(),
  // from which on tasks are handed out; the records of the others; end_restore(). Meanwhile tasks may be submitted
  // whose IDs the store does not know; nothing else may be asked about a task that is not settled(). What a record
  // contradicts or belongs to is not there: it is added to `out.released`.
  enum class Loading : std::uint8_t { Queue, History, Done };
  // `tasks`: about how many will come.
  void begin_restore(std::size_t tasks = 0);
  // The task's record will be restored soon.
  void prefetch(const TaskId& id) const { tasks_.fetch(id); }
  void restore(const Restored& record, Now now, Effects& out);
  // Of a device that is back already only the drain is taken, unless an administrator has spoken since.
  void restore_device(const Capabilities& capabilities, bool drained, WallTime heard, Now now, Effects& out);
  void restore_removed(std::string_view device_id);
  void queue_restored(Now now);
  void end_restore(Now now);
  Loading loading() const { return loading_; }
  bool settled(TaskIndex task) const;

  // --- devices ---

  // A device said hello. `held`: what it holds; what is not current is added to `abandon`; what it does not hold any
  // more is queued again. The place is the device's for as long as it is known.
  DeviceIndex join(const Capabilities& capabilities, const InstanceId& instance, std::span<const AttemptId> held,
                   bool draining, Now now, std::vector<AttemptId>& abandon, Effects& out);
  void update(DeviceIndex device, const Capabilities& capabilities, Now now, Effects& out);
  void heartbeat(DeviceIndex device, const Heartbeat& heartbeat, Now now, Effects& out);
  // The device takes no work for now and says why; empty: it does again. Each heartbeat says it anew.
  void set_pause(DeviceIndex device, std::string_view why, Now now, Effects& out);
  void started(DeviceIndex device, std::span<const AttemptId> attempts, Now now, Effects& out);
  void finished(DeviceIndex device, const FinishedItem& item, Now now, Effects& out);
  void returned(DeviceIndex device, std::span<const AttemptId> attempts, Now now, Effects& out);
  // What an attempt has told; `lines` are those of `item.logs`. Of one that is not current nothing is taken.
  void progress(DeviceIndex device, const ProgressItem& item, std::span<const LogLine> lines, Now now);
  void drain(DeviceIndex device, Now now, Effects& out);
  // An administrator's: no new work until resume_device(), also over a new hello. Resuming ends a quarantine too.
  void drain_device(DeviceIndex device, Now now, Effects& out);
  void resume_device(DeviceIndex device, Now now, Effects& out);
  // Forgets a device that is away. Errors: Conflict if it is connected or its attempts are not settled.
  Status remove_device(DeviceIndex device, Now now, Effects& out);
  // Its connection is known to be gone: nothing new until it says hello again. What it holds stays with it for its
  // lease.
  void disconnected(DeviceIndex device);
  // It left on purpose: what it holds goes to others.
  void left(DeviceIndex device, Now now, Effects& out);
  // The attempt goes with the assign message that is open for its device; closing it gives the message's number.
  void put_into_assign(AttemptIndex attempt, TimePoint now) {
    attempts_[attempt].assign = devices_[attempts_[attempt].device].assigns + 1;
    attempts_[attempt].assigned_at = now;  // later than it was decided, if its payload was fetched first
  }
  std::uint64_t close_assign(DeviceIndex device) { return ++devices_[device].assigns; }
  // An assign could not be sent: its attempts go back to their places.
  void unsent(DeviceIndex device, AttemptId attempt, Now now, Effects& out);

  // --- time ---

  // Deadlines that have passed: retries, silence, leases, history. Then whatever can go to a device does.
  void advance(Now now, Effects& out);
  // When advance() is due next; nullopt while nothing waits for time.
  std::optional<TimePoint> next_deadline() const;

  // --- looking ---

  const Task& task(TaskIndex place) const { return tasks_[place]; }
  const TaskTable& tasks() const { return tasks_; }
  const TaskSpec& spec(TaskIndex place) const { return catalog_.spec(tasks_[place].spec).spec; }
  SpecIndex spec_of(AttemptIndex attempt) const { return tasks_[attempts_[attempt].task].spec; }
  const Attempt& attempt(AttemptIndex place) const { return attempts_[place]; }
  AttemptIndex find_attempt(AttemptId id) const { return attempts_.find(id); }
  const Device& device(DeviceIndex place) const { return devices_[place]; }
  DeviceIndex find_device(std::string_view device_id) const { return devices_.find(device_id); }
  const Catalog& catalog() const { return catalog_; }
  const Counters& counters() const { return counters_; }

  TaskReport report(TaskIndex task, bool with_payload, bool with_result) const;
  // One page, newest first; visits a bounded number of tasks, so it may be shorter than asked for while `cursor` is
  // set.
  std::vector<TaskIndex> list(const List& request, std::optional<std::uint64_t>& next_cursor) const;
  // What the next attempt is handed; empty: nothing.
  ByteView checkpoint(TaskIndex task) const { return live_.checkpoint(task); }
  // Of a task that is not final: what is there of its log after `cursor`, up to about `bytes_max`.
  LogPart log_after(TaskIndex task, std::uint64_t cursor, std::size_t bytes_max) const {
    return live_.log_after(task, cursor, bytes_max);
  }
  // The number of the attempt that a final task ended with; 0: it had none.
  std::uint32_t last_attempt(TaskIndex task) const;
  const LiveTable& live() const { return live_; }
  Explanation explain(TaskIndex task) const;
  Explanation explain(const TaskSpec& spec) const;  // as if it were submitted now
  // Why a task waits, in a word; empty for one that does not.
  std::string_view reason(TaskIndex task) const;
  std::vector<DeviceReport> device_reports(std::string_view device_id) const;  // empty: all, by name
  DeviceReport device_report(DeviceIndex device) const;
  ClusterStatistics statistics(Now now) const;

  // Checks every pair of indexes against each other, and that no device is idle beside what it could run; aborts on
  // disagreement. O(everything). Precondition: the latest call was advance(now). For tests.
  void check_invariants(Now now) const;

 private:
  enum class Lost : std::uint8_t { WithDevice, OnTheWay, HandedBack };
  struct Timer {
    TimePoint due;
    std::uint32_t place = 0;   // of the task or device
    std::uint64_t serial = 0;  // the task's sequence, or zero: whether the timer still means it
    friend bool operator>(const Timer& a, const Timer& b) {
      return std::tie(a.due, a.serial, a.place) > std::tie(b.due, b.serial, b.place);
    }
  };
  using Timers = std::priority_queue<Timer, std::vector<Timer>, std::greater<>>;

  // scheduler.cpp: the life of a task
  std::optional<BatchError> check_room(const Submit& batch) const;
  bool same_content(TaskIndex task, SpecIndex spec, const SubmitItem& item) const;
  void forget(TaskIndex task, Effects& out);
  void queue_again(TaskIndex task, Effects& out);
  void retry_later(TaskIndex task, Duration delay, Now now, Effects& out);
  Duration retry_delay(std::uint32_t failures);
  void fail_attempt(TaskIndex task, const Attempt& attempt, const FinishedItem& item, Now now, Effects& out);
  void note_error(TaskIndex task, const Attempt& attempt, Outcome outcome, bool lost, std::string_view message,
                  Now now);
  // `reason`: a literal, or null.
  void end(TaskIndex task, TaskStatus status, const char* reason, const Attempt* attempt, const FinishedItem* item,
           Now now, Effects& out);
  std::uint64_t kept_bytes(TaskIndex task) const;
  void drop_ending(TaskIndex task, Effects& out);
  bool history_is_full() const;
  void expire_history(Now now, Effects& out);

  // restore.cpp: what the store has, and what it has alone
  void restore_submitted(const Restored& record);
  struct Dispatched {
    AttemptId attempt;
    StorePosition position = 0;
    const std::string* device_id = nullptr;  // in dispatched_to_
    std::uint32_t number = 0;
    WallTime assigned_at{};
  };
  const std::string* note_dispatched_to(std::string_view device_id);
  void put_back(TaskIndex task, const Dispatched& dispatched, Now now);
  void give_leases(Now now);
  void restore_dispatched(TaskIndex task, const Restored& record, Now now, Effects& out);
  void restore_retried(TaskIndex task, const Restored& record, Now now, Effects& out);
  void restore_ended(TaskIndex task, const Restored& record, Now now, Effects& out);
  void restore_forgotten(TaskIndex task, Now now, Effects& out);
  DeviceIndex device_named(std::string_view device_id);
  void drop_attempt(TaskIndex task, Effects& out);
  void note_restored_end(TaskIndex task, TaskStatus status, Now now);
  void queue_what_waits(Now now);
  void let_go_of_payload(TaskIndex task);
  void let_go_of_results(Now now);

  // dispatch.cpp: which task goes to which device
  void dispatch(Now now, Effects& out);
  bool fill(DeviceIndex device, std::size_t limit, Now now, Effects& out);  // false: took nothing
  bool may_take(const Device& device, ReadyQueue::Next next) const;
  ReadyQueue::Next next_for(DeviceIndex device, Now now) const;
  bool welcome(TaskIndex task, DeviceIndex device, Now now) const;
  DeviceIndex choose_device(ClassIndex task_class, Room room, DeviceIndex except);
  void refresh(ClassIndex task_class);  // its waiting tasks look for a device at the next dispatch
  void refresh_devices();               // every device looks for tasks
  DeviceIndex choose_overtaken(ClassIndex task_class, Priority priority) const;
  void recall_less_urgent(DeviceIndex device, Priority than, Effects& out);
  void recall_for_urgent(ClassIndex task_class, Now now, Effects& out);
  double expected_us(const Device& device, const Class& task_class) const;
  void assign(ReadyQueue::Next next, DeviceIndex device, Now now, Effects& out);
  void put_on(AttemptIndex attempt, DeviceIndex device);
  AttemptIndex release(AttemptIndex attempt, Effects& out);
  void recall_for_idle(Now now, Effects& out);
  void changed(DeviceIndex device) { refill_.push_back(device); }

  // trust.cpp: which device fails what others complete
  void note_success(TaskIndex task, DeviceIndex device, Now now);
  void note_failure(TaskIndex task, DeviceIndex device, Now now, Effects& out);
  void release_quarantine(DeviceIndex device, Now now);

  // sessions.cpp: joining, silence, loss
  void give_up(AttemptIndex attempt, Lost how, Now now, Effects& out);
  void give_up_all(DeviceIndex device, Lost how, Now now, Effects& out);
  void heard(DeviceIndex device, Now now);
  void time_silence(DeviceIndex device, TimePoint due);
  void check_silence(DeviceIndex device, Now now, Effects& out);
  void recall_all(DeviceIndex device, std::string_view type, Now now, Effects& out);  // empty: of every type
  void expire_devices(Effects& out);
  void missed(DeviceIndex device);
  void has_ended(DeviceIndex device, AttemptId abandoned);
  bool owns(DeviceIndex device, AttemptIndex attempt) const { return attempt && attempts_[attempt].device == device; }

  Explanation explain(const TaskSpec& spec, ClassIndex task_class) const;
  std::string_view class_reason(ClassIndex task_class) const;

  SchedulerConfig config_;
  std::uint64_t epoch_;
  std::uint64_t attempt_counter_ = 0;
  Rng rng_;
  Catalog catalog_;
  TaskTable tasks_;
  PluginNames plugin_names_;
  AttemptTable attempts_;
  DeviceTable devices_;
  ReadyQueue queue_;
  LiveTable live_;
  Counters counters_;
  std::uint64_t waiting_bytes_ = 0;   // payloads of tasks that wait, here or in the store
  std::uint64_t resident_bytes_ = 0;  // payloads that are kept here
  std::uint64_t results_bytes_ = 0;   // and results
  std::uint64_t delayed_ = 0;

  Timers retries_;
  Timers silences_;
  Timers quarantines_;
  bool paused_ = false;
  struct Ended {
    TaskIndex task;
    std::uint64_t sequence = 0;  // of the task: whether the place still holds it
    TimePoint at;
  };
  std::deque<Ended> history_;       // ended tasks, oldest end first
  std::size_t absent_results_ = 0;  // so many of its first have their results in the store only
  // While the history is loaded: attempts whose tasks have no end yet, by the tasks' places, and their devices. Nearly
  // each task has one for a moment.
  std::unordered_map<std::uint32_t, Dispatched> dispatched_;
  SpecIndex restored_spec_;  // of the latest restored task
  std::set<std::string, std::less<>> dispatched_to_;
  const std::string* latest_dispatched_to_ = nullptr;
  std::deque<Ended> older_history_;  // while the history is loaded: what belongs before all of it
  Loading loading_ = Loading::Done;
  std::uint64_t unfinished_ = 0;  // restored tasks without an end, in this part of loading
  std::map<std::string, DeviceIndex, std::less<>> removed_devices_;  // that finished tasks name; while loading
  std::uint64_t history_bytes_ = 0;
  std::vector<DeviceIndex> refill_;  // devices whose room has changed since the last dispatch
  std::vector<ClassIndex> fresh_;    // classes that got tasks since the last dispatch
  Bits fresh_classes_;
  std::optional<TimePoint> recall_due_;
  std::optional<TimePoint> first_;  // the first and the latest advance()
  TimePoint latest_{};
};

}  // namespace retire::core
