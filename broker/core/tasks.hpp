// Every task main keeps: by place, by ID, and in the order of submission.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/core/blob.hpp"
#include "broker/core/index.hpp"
#include "broker/core/payload.hpp"
#include "common/base/ids.hpp"
#include "common/base/time.hpp"
#include "common/model/reports.hpp"
#include "common/model/task.hpp"

namespace retire::core {

// Who is told the result; 0 nobody. A number of the shell's that means nothing here.
using Watcher = std::uint32_t;

// Where a record lies in the store. A number of the store's that means nothing here; 0: nowhere.
using StorePosition = std::uint64_t;

// What an attempt left behind beside its data; few tasks have any of it.
struct Output {
  Blob error_message;
  Blob traceback;
  Blob logs;
};

// Names of what ran tasks: each is kept once, as long as an ending has it. Bounded: beyond that, none is kept.
using PluginName = std::shared_ptr<const std::string>;
class PluginNames {
 public:
  static constexpr std::size_t kMax = 65'536;
  PluginName intern(std::string_view name);

 private:
  std::map<std::string, std::weak_ptr<const std::string>, std::less<>> known_;
  std::size_t tidy_at_ = 64;
  std::uint64_t refused_ = 0;  // for want of room
  PluginName latest_;
};

// How a task ended; made when it is final.
struct Ending {
  Blob data;
  std::unique_ptr<Output> output;
  PluginName plugin;  // what ran its last attempt; null: not known
  bool has_data = false;
  bool absent = false;  // data and output lie in the store only
  DeviceIndex device;
  AttemptIndex attempt;            // cancelled, and its device has not said yet that it stopped
  std::uint32_t stored_bytes = 0;  // of data and output
  Duration run{};
  WallTime assigned_at{};
  WallTime started_at{};
  WallTime completed_at{};
  TimePoint ended_at{};
  StorePosition stored = 0;      // of its record
  const char* reason = nullptr;  // of a failure that is main's own: device_lost, retries_exhausted, …; null: none

  std::size_t resident() const { return absent ? 0 : stored_bytes; }
};

// What only some tasks have.
struct TaskExtra {
  Blob metadata;
  std::vector<AttemptError> errors;  // the latest kErrorHistoryMax
  std::uint32_t failures = 0;        // attempts that failed, timed out or crashed
  std::uint32_t lost = 0;            // attempts that ended with their device
  DeviceIndex avoid;                 // the device of the latest failure: another one is preferred,
  TimePoint avoid_until{};           // until then
  TimePoint due{};                   // of the retry that is waited for, or of the end of avoiding
  StorePosition stored = 0;          // of its latest record of a failed attempt
};
constexpr std::size_t kErrorHistoryMax = 20;

// A queued task is this record, one cache line; its payload; its entry in the index by ID; and its four bytes in the
// order of submission: less than 100 bytes and the payload.
struct Task {
  TaskId id;
  std::uint64_t sequence = 0;  // order of submission, from 1
  Payload payload;
  StorePosition stored = 0;  // of the record of its submission, where the payload is
  SpecIndex spec;
  std::uint32_t extra = 0;
  Watcher watcher = 0;
  // What it is tied to at the moment: the next in its lane, its attempt or its ending (which keeps the attempt, if
  // there is one yet).
  enum class Link : std::uint8_t { None, Next, Attempt, Ending };
  std::uint32_t link = 0;

  // One word: when it was created (microseconds since 1970, for two centuries and more), and what is small.
  std::uint64_t created_us : 54 = 0;
  Link link_is : 2 = Link::None;
  TaskStatus status : 4 = TaskStatus::Pending;
  bool delayed : 1 = false;   // queued, but waits for its retry's time
  bool returned : 1 = false;  // queued in its lane's set of those that regained their place
  bool restored : 1 = false;  // of an earlier run of main

  WallTime created_at() const {
    return WallTime(Duration(static_cast<std::int64_t>(std::uint64_t{created_us} << 10) >> 10));
  }
  void set_created_at(WallTime at) {
    created_us = static_cast<std::uint64_t>(at.time_since_epoch().count()) & ((std::uint64_t{1} << 54) - 1);
  }
  TaskIndex queue_next() const { return {link_is == Link::Next ? link : 0}; }
};
static_assert(sizeof(Task) == kCacheLine);

class TaskTable {
 public:
  TaskTable();

  // Precondition: no task has this ID.
  TaskIndex add(const TaskId& id) { return add(id, next_sequence_++); }
  // With a place of its own in the order of submission. Precondition: it is free.
  TaskIndex add(const TaskId& id, std::uint64_t sequence);
  // Tasks without one of their own come behind `sequence` from now on.
  void continue_behind(std::uint64_t sequence) { next_sequence_ = std::max(next_sequence_, sequence + 1); }
  void remove(TaskIndex task);
  // So many will come: the index by ID need not grow on the way.
  void reserve(std::size_t tasks);
  TaskIndex find(const TaskId& id) const;

  // What is about to be used, ahead of time: the place of an ID in the index; a task's record; what its record names.
  void fetch(const TaskId& id) const;
  void fetch(TaskIndex task) const { prefetch(&tasks_[task]); }
  void fetch_parts(TaskIndex task) const;

  Task& operator[](TaskIndex task) { return tasks_[task]; }
  const Task& operator[](TaskIndex task) const { return tasks_[task]; }
  std::size_t size() const { return tasks_.size(); }

  TaskExtra& extra(TaskIndex task);  // made when there is none
  const TaskExtra* find_extra(TaskIndex task) const;
  std::uint32_t failures(TaskIndex task) const {
    const TaskExtra* extra = find_extra(task);
    return extra == nullptr ? 0 : extra->failures;
  }
  void set_failures(TaskIndex task, std::uint32_t failures) {
    if (failures != 0 || tasks_[task].extra != 0) extra(task).failures = failures;
  }
  // The current attempt, while it is assigned or running; of a cancelled task until its device says that it stopped.
  AttemptIndex attempt(TaskIndex task) const;
  void set_attempt(TaskIndex task, AttemptIndex attempt);
  Ending& ending(TaskIndex task);  // made when there is none
  const Ending* find_ending(TaskIndex task) const;
  void drop_ending(TaskIndex task);

  // Every change of status goes through here, so that the counts are right.
  void set_status(TaskIndex task, TaskStatus status);
  std::uint64_t count(TaskStatus status) const { return by_status_.at(static_cast<std::size_t>(status)); }

  // Visits tasks from the newest that is older than `before` (0: the newest of all) to the oldest; visit returns false
  // to stop.
  template <class Visit>
  void newest_first(std::uint64_t before, Visit visit) const {
    if (pages_.empty()) return;
    if (before == 0) before = next_sequence_;
    auto page = pages_.upper_bound((before - 1) / kPage);
    while (page != pages_.begin()) {
      --page;
      for (std::uint64_t i = kPage; i-- > 0;) {
        const TaskIndex task = page->second->tasks[i];
        if (!task || page->first * kPage + i >= before) continue;
        if (!visit(task)) return;
      }
    }
  }
  template <class Visit>
  void oldest_first(Visit visit) const {
    for (const auto& [number, page] : pages_) {
      for (const TaskIndex task : page->tasks) {
        if (task) visit(task);
      }
    }
  }
  // Visits the kept tasks of one page of the order of submission (those with sequence / kPage == page).
  template <class Visit>
  void visit_page(std::uint64_t page, Visit visit) const {
    const auto at = pages_.find(page);
    if (at == pages_.end()) return;
    for (const TaskIndex task : at->second->tasks) {
      if (task) visit(task);
    }
  }
  static constexpr std::uint64_t kPage = 1024;

 private:
  struct Page {
    std::array<TaskIndex, kPage> tasks{};
    std::uint32_t count = 0;
  };

  std::size_t home_of(std::uint32_t hash) const {
    return static_cast<std::size_t>(std::uint64_t{hash} * by_id_.size() >> 32);
  }
  std::size_t slot_of(const TaskId& id, std::uint32_t hash) const;
  void grow(std::size_t slots);
  void drop_from_page(const Task& task);

  Slab<Task, TaskIndex> tasks_;
  Slab<TaskExtra, Index<struct ExtraTag>> extras_;
  Slab<Ending, Index<struct EndingTag>> endings_;
  std::map<std::uint64_t, std::unique_ptr<Page>> pages_;
  Page* newest_page_ = nullptr;
  std::uint64_t newest_page_number_ = 0;
  Page* removed_page_ = nullptr;  // the latest that one was removed from: the next is in it, nearly always
  std::uint64_t removed_page_number_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::array<std::uint64_t, kTaskStatusCount> by_status_{};
  // Open addressing with linear probing, in the order of the hashes; at most 3/4 full, and grown by a quarter, so that
  // ten to fourteen bytes are enough for a task.
  struct Slot {
    TaskIndex task;
    std::uint32_t hash = 0;  // of its ID, so that a look-up touches no other task's record
  };
  std::vector<Slot, TableAllocator<Slot>> by_id_;
  std::size_t by_id_used_ = 0;
};

}  // namespace retire::core
