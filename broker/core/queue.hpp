// The tasks that wait at main, and which of them is next for a device.
//
// A lane holds the waiting tasks of one priority, group and class in the order of submission. A device looks at the
// first task of each lane that it can run, so a task nobody can run holds up nothing, and the cost depends on the
// number of lanes, never on that of tasks. What is taken back or retried regains its old place: it waits in a small
// ordered set at the head of its lane.
//
// Order: a higher priority first; within one, groups take turns; within a group, the oldest.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "broker/core/catalog.hpp"
#include "broker/core/index.hpp"
#include "broker/core/tasks.hpp"

namespace retire::core {

class ReadyQueue {
 public:
  ReadyQueue(TaskTable& tasks, Catalog& catalog) : tasks_(tasks), catalog_(catalog) {}

  // A task that was just submitted: behind all others.
  void push_new(TaskIndex task);
  // A task that was here before: to its old place.
  void push_returned(TaskIndex task);
  // Wherever it stands. Precondition: it is in the queue.
  void remove(TaskIndex task);

  struct Next {
    TaskIndex task;
    Priority priority = Priority::Normal;  // the one it counts with, ageing included
    explicit operator bool() const { return static_cast<bool>(task); }
  };
  // The first task in order whose class is in `classes` and passes `allowed(ClassIndex)`, and which, if it was here
  // before, passes `welcome(TaskIndex)`; or none. `take()` it to give its group's turn away. With ageing (`age_after`
  // not zero) the level whose candidate counts highest goes first, the older one if they count the same.
  template <class Allowed, class Welcome>
  Next next(const Bits& classes, Allowed allowed, Welcome welcome, WallTime now, Duration age_after) const {
    Next best;
    for (int priority = kPriorityCount; priority >= 1; --priority) {
      const Level& level = levels_[static_cast<std::size_t>(priority)];
      if (!level.classes.intersects(classes)) continue;
      const TaskIndex task = next_of_level(level, classes, allowed, welcome);
      if (!task) continue;
      if (age_after == Duration::zero()) return {task, static_cast<Priority>(priority)};
      const Priority counts = aged(static_cast<Priority>(priority), tasks_[task].created_at(), now, age_after);
      const bool earlier = best && counts == best.priority && tasks_[task].sequence < tasks_[best.task].sequence;
      if (!best || counts > best.priority || earlier) best = {task, counts};
    }
    return best;
  }
  // Removes what next() gave and lets the other groups of its priority go first.
  void take(TaskIndex task);

  // Whether tasks of this class wait; and of which classes any wait.
  std::uint64_t waiting(ClassIndex task_class) const;
  // The highest priority at which any does. Precondition: some wait.
  Priority highest_waiting(ClassIndex task_class) const;
  std::size_t size() const { return size_; }
  std::uint64_t waiting(Priority priority) const { return levels_[static_cast<std::size_t>(priority)].count; }

  // The task's place in line, from 1, among those of the classes in `rivals`; groups of its priority are taken to
  // alternate. O(lanes × runs), a small part of O(tasks).
  std::uint64_t position(TaskIndex task, const Bits& rivals) const;

  // A lane belongs to a spec; it goes with it.
  void drop_lane(SpecIndex spec);

  void check_invariants() const;

 private:
  using GroupQueueIndex = Index<struct GroupQueueTag>;
  using Place = std::pair<std::uint64_t, TaskIndex>;  // by sequence

  // A stretch of a lane's list.
  struct Run {
    std::uint64_t from = 0;  // the sequences before it are smaller, its own are not
    TaskIndex first;
    std::uint32_t count = 0;
  };
  static constexpr std::uint32_t kRunMax = 16;

  struct Lane {
    std::uint8_t priority = 0;
    GroupQueueIndex group_queue;
    ClassIndex task_class;
    std::uint32_t specs = 0;  // that use it
    std::uint64_t count = 0;
    TaskIndex first;  // of the list of those never taken
    TaskIndex last;
    std::deque<Run> runs;  // of that list, so that a place in line is counted by the run
    std::set<Place> returned;
    std::map<std::uint64_t, std::uint32_t> returned_pages;  // how many for each page of the order of submission
    std::uint32_t head = 0;  // its place in its group's heads, plus one; 0 while it is empty
  };
  struct Head {
    std::uint64_t sequence = 0;
    ClassIndex task_class;
    TaskIndex task;
    LaneIndex lane;
    bool returned = false;
  };
  // The lanes of one group at one priority that hold tasks. Kept while any lane refers to it.
  struct GroupQueue {
    std::string group;
    std::uint8_t priority = 0;
    std::uint32_t lanes = 0;
    std::uint64_t count = 0;
    std::vector<Head> heads;
    GroupQueueIndex previous;  // in the order of turns, while it holds tasks
    GroupQueueIndex next;
  };
  struct Level {
    GroupQueueIndex first;  // whose turn it is
    GroupQueueIndex last;
    Bits classes;                            // of which any task waits here
    std::vector<std::uint64_t> class_count;  // by class
    std::uint64_t count = 0;
  };

  // With the level's groups in the order of their turns: the oldest of the first group that has one.
  template <class Allowed, class Welcome>
  TaskIndex next_of_level(const Level& level, const Bits& classes, Allowed& allowed, Welcome& welcome) const {
    for (GroupQueueIndex at = level.first; at; at = group_queues_[at].next) {
      TaskIndex best;
      std::uint64_t best_sequence = UINT64_MAX;
      for (const Head& head : group_queues_[at].heads) {
        if (head.sequence > best_sequence || !classes.test(head.task_class.value)) continue;
        if (!allowed(head.task_class)) continue;
        const TaskIndex task =
            head.returned && !welcome(head.task) ? first_welcome(lanes_[head.lane], welcome) : head.task;
        if (!task || tasks_[task].sequence > best_sequence) continue;
        best = task;
        best_sequence = tasks_[task].sequence;
      }
      if (best) return best;
    }
    return {};
  }
  // The first of a lane that is welcome; only few of those that were here before are asked about.
  template <class Welcome>
  TaskIndex first_welcome(const Lane& lane, Welcome& welcome) const {
    std::size_t asked = 0;
    for (const auto& [sequence, task] : lane.returned) {
      if (lane.first && tasks_[lane.first].sequence < sequence) return lane.first;
      if (welcome(task)) return task;
      if (++asked == kAskedMax) break;
    }
    return lane.first;
  }
  static constexpr std::size_t kAskedMax = 64;
  static Priority aged(Priority priority, WallTime since, WallTime now, Duration age_after);

  LaneIndex lane_of(SpecIndex spec);
  void refresh_head(LaneIndex lane);
  void added(LaneIndex lane);
  void link_turn(GroupQueueIndex group);
  void unlink_turn(GroupQueueIndex group);
  void unlink(Lane& lane, TaskIndex task);
  TaskIndex before(const Lane& lane, std::deque<Run>::iterator run, TaskIndex task) const;
  std::uint64_t count_before(const Lane& lane, std::uint64_t sequence) const;

  TaskTable& tasks_;
  Catalog& catalog_;
  std::array<Level, kPriorityCount + 1> levels_;
  Slab<Lane, LaneIndex> lanes_;
  Slab<GroupQueue, GroupQueueIndex> group_queues_;
  std::map<std::pair<std::string, std::uint8_t>, GroupQueueIndex> group_queues_by_name_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, LaneIndex> lanes_by_place_;  // (group queue, class)
  std::size_t size_ = 0;
};

}  // namespace retire::core
