#include "broker/core/queue.hpp"

#include <algorithm>

namespace retire::core {

LaneIndex ReadyQueue::lane_of(SpecIndex spec_place) {
  Spec& spec = catalog_.spec(spec_place);
  if (spec.lane) return spec.lane;

  const auto priority = static_cast<std::uint8_t>(spec.spec.priority);
  GroupQueueIndex& group = group_queues_by_name_[{spec.spec.group, priority}];
  if (!group) {
    group = group_queues_.add();
    group_queues_[group].group = spec.spec.group;
    group_queues_[group].priority = priority;
  }
  LaneIndex& lane = lanes_by_place_[{group.value, spec.task_class.value}];
  if (!lane) {
    lane = lanes_.add();
    lanes_[lane].priority = priority;
    lanes_[lane].group_queue = group;
    lanes_[lane].task_class = spec.task_class;
    ++group_queues_[group].lanes;
  }
  ++lanes_[lane].specs;
  spec.lane = lane;
  return lane;
}

void ReadyQueue::drop_lane(SpecIndex spec_place) {
  Spec& spec = catalog_.spec(spec_place);
  if (!spec.lane) return;
  const LaneIndex place = std::exchange(spec.lane, LaneIndex{});
  Lane& lane = lanes_[place];
  if (--lane.specs > 0) return;
  RC_ASSERT(lane.count == 0);
  const GroupQueueIndex group = lane.group_queue;
  lanes_by_place_.erase({group.value, lane.task_class.value});
  lanes_.remove(place);
  if (--group_queues_[group].lanes > 0) return;
  group_queues_by_name_.erase({group_queues_[group].group, group_queues_[group].priority});
  group_queues_.remove(group);
}

void ReadyQueue::link_turn(GroupQueueIndex place) {
  GroupQueue& group = group_queues_[place];
  Level& level = levels_[group.priority];
  group.previous = level.last;
  group.next = {};
  if (level.last) {
    group_queues_[level.last].next = place;
  } else {
    level.first = place;
  }
  level.last = place;
}

void ReadyQueue::unlink_turn(GroupQueueIndex place) {
  GroupQueue& group = group_queues_[place];
  Level& level = levels_[group.priority];
  (group.previous ? group_queues_[group.previous].next : level.first) = group.next;
  (group.next ? group_queues_[group.next].previous : level.last) = group.previous;
}

// Brings the group's list of heads up to date with the lane's first task.
void ReadyQueue::refresh_head(LaneIndex place) {
  Lane& lane = lanes_[place];
  GroupQueue& group = group_queues_[lane.group_queue];
  if (lane.count == 0) {
    if (lane.head == 0) return;
    const std::uint32_t at = lane.head - 1;
    lane.head = 0;
    if (at + 1 != group.heads.size()) {
      group.heads[at] = group.heads.back();
      lanes_[group.heads[at].lane].head = at + 1;
    }
    group.heads.pop_back();
    return;
  }
  TaskIndex task = lane.first;
  if (!lane.returned.empty() && (!task || lane.returned.begin()->first < tasks_[task].sequence)) {
    task = lane.returned.begin()->second;
  }
  if (lane.head == 0) {
    group.heads.push_back({0, lane.task_class, {}, place, false});
    lane.head = static_cast<std::uint32_t>(group.heads.size());
  }
  Head& head = group.heads[lane.head - 1];
  head.sequence = tasks_[task].sequence;
  head.task = task;
  head.returned = tasks_[task].returned;
  // When this one is taken, the next is looked at: by then its record is here.
  if (const TaskIndex next = tasks_[task].queue_next()) tasks_.fetch(next);
}

Priority ReadyQueue::aged(Priority priority, WallTime since, WallTime now, Duration age_after) {
  const std::int64_t levels = now > since ? (now - since) / age_after : 0;
  return static_cast<Priority>(std::min<std::int64_t>(static_cast<std::int64_t>(priority) + levels, kPriorityCount));
}

void ReadyQueue::added(LaneIndex place) {
  Lane& lane = lanes_[place];
  Level& level = levels_[lane.priority];
  ++size_;
  ++lane.count;
  ++level.count;
  if (level.class_count.size() <= lane.task_class.value) level.class_count.resize(lane.task_class.value + 1);
  if (level.class_count[lane.task_class.value]++ == 0) level.classes.set(lane.task_class.value);
  if (group_queues_[lane.group_queue].count++ == 0) link_turn(lane.group_queue);
}

void ReadyQueue::push_new(TaskIndex place) {
  Task& task = tasks_[place];
  const LaneIndex lane_place = lane_of(task.spec);
  Lane& lane = lanes_[lane_place];
  task.link = 0;
  task.link_is = Task::Link::Next;
  if (lane.last) {
    RC_ASSERT(tasks_[lane.last].sequence < task.sequence);
    tasks_[lane.last].link = place.value;
  } else {
    lane.first = place;
  }
  lane.last = place;
  if (lane.runs.empty() || lane.runs.back().count == kRunMax) lane.runs.push_back({task.sequence, place, 0});
  ++lane.runs.back().count;
  added(lane_place);
  if (lane.head == 0 || lane.count == 1) refresh_head(lane_place);
}

void ReadyQueue::push_returned(TaskIndex place) {
  Task& task = tasks_[place];
  const LaneIndex lane_place = lane_of(task.spec);
  Lane& lane = lanes_[lane_place];
  task.returned = true;
  lane.returned.emplace(task.sequence, place);
  ++lane.returned_pages[task.sequence / TaskTable::kPage];
  added(lane_place);
  refresh_head(lane_place);
}

// The one before it in the lane's list; none before the first.
TaskIndex ReadyQueue::before(const Lane& lane, std::deque<Run>::iterator run, TaskIndex task) const {
  if (task == lane.first) return {};
  TaskIndex at = run->first == task ? std::prev(run)->first : run->first;
  while (tasks_[at].queue_next() != task) at = tasks_[at].queue_next();
  return at;
}

void ReadyQueue::unlink(Lane& lane, TaskIndex place) {
  Task& task = tasks_[place];
  const TaskIndex next = task.queue_next();
  auto run = lane.runs.begin();
  if (place != lane.first) {  // seldom
    run = std::prev(std::upper_bound(lane.runs.begin(), lane.runs.end(), task.sequence,
                                     [](std::uint64_t sequence, const Run& other) { return sequence < other.from; }));
  }
  const TaskIndex previous = before(lane, run, place);
  if (previous) {
    tasks_[previous].link = next.value;
  } else {
    lane.first = next;
  }
  if (place == lane.last) lane.last = previous;
  if (--run->count == 0) {
    lane.runs.erase(run);
  } else if (run->first == place) {
    run->first = next;
  }
  task.link = 0;
  task.link_is = Task::Link::None;
}

void ReadyQueue::remove(TaskIndex place) {
  Task& task = tasks_[place];
  const LaneIndex lane_place = catalog_.spec(task.spec).lane;
  Lane& lane = lanes_[lane_place];
  if (task.returned) {
    lane.returned.erase({task.sequence, place});
    const auto page = lane.returned_pages.find(task.sequence / TaskTable::kPage);
    if (--page->second == 0) lane.returned_pages.erase(page);
    task.returned = false;
  } else {
    unlink(lane, place);
  }
  --size_;
  --lane.count;
  Level& level = levels_[lane.priority];
  --level.count;
  if (--level.class_count[lane.task_class.value] == 0) level.classes.reset(lane.task_class.value);
  refresh_head(lane_place);
  if (--group_queues_[lane.group_queue].count == 0) unlink_turn(lane.group_queue);
}

void ReadyQueue::take(TaskIndex place) {
  const GroupQueueIndex group = lanes_[catalog_.spec(tasks_[place].spec).lane].group_queue;
  remove(place);
  if (group_queues_[group].count > 0 &&
      levels_[group_queues_[group].priority].first != levels_[group_queues_[group].priority].last) {
    unlink_turn(group);
    link_turn(group);
  }
}

std::uint64_t ReadyQueue::waiting(ClassIndex task_class) const {
  std::uint64_t count = 0;
  for (const Level& level : levels_) {
    if (task_class.value < level.class_count.size()) count += level.class_count[task_class.value];
  }
  return count;
}

Priority ReadyQueue::highest_waiting(ClassIndex task_class) const {
  for (std::size_t priority = kPriorityCount; priority > 1; --priority) {
    const std::vector<std::uint64_t>& count = levels_.at(priority).class_count;
    if (task_class.value < count.size() && count[task_class.value] > 0) return static_cast<Priority>(priority);
  }
  return Priority::Low;
}

// How many of the lane were submitted before; of those that were here before only by whole pages.
std::uint64_t ReadyQueue::count_before(const Lane& lane, std::uint64_t sequence) const {
  std::uint64_t count = 0;
  for (const auto& [number, waiting] : lane.returned_pages) {
    if (number >= sequence / TaskTable::kPage) break;
    count += waiting;
  }
  for (auto run = lane.runs.begin(); run != lane.runs.end() && run->from < sequence; ++run) {
    const auto next = std::next(run);
    if (next != lane.runs.end() && next->from <= sequence) {
      count += run->count;
      continue;
    }
    TaskIndex at = run->first;
    for (std::uint32_t n = 0; n < run->count && tasks_[at].sequence < sequence; ++n) {
      ++count;
      at = tasks_[at].queue_next();
    }
    break;
  }
  return count;
}

std::uint64_t ReadyQueue::position(TaskIndex place, const Bits& rivals) const {
  const Task& task = tasks_[place];
  const Lane& own = lanes_[catalog_.spec(task.spec).lane];
  std::uint64_t ahead = 0;
  for (int priority = kPriorityCount; priority > own.priority; --priority) {
    const Level& level = levels_[static_cast<std::size_t>(priority)];
    level.classes.for_each_common(rivals, 0, [&](std::uint32_t i) {
      ahead += level.class_count[i];
      return true;
    });
  }

  std::uint64_t ahead_in_group = 0;
  bool any_returned = false;
  for (const Head& head : group_queues_[own.group_queue].heads) {
    if (!rivals.test(head.task_class.value)) continue;
    ahead_in_group += count_before(lanes_[head.lane], task.sequence);
    any_returned = any_returned || !lanes_[head.lane].returned.empty();
  }
  const auto count_returned = [&](TaskIndex other_place) {
    const Task& other = tasks_[other_place];
    if (!other.returned || other.sequence >= task.sequence) return;
    const LaneIndex lane_place = catalog_.spec(other.spec).lane;
    if (!lane_place) return;
    const Lane& lane = lanes_[lane_place];
    if (lane.group_queue == own.group_queue && rivals.test(lane.task_class.value)) ++ahead_in_group;
  };
  if (any_returned) tasks_.visit_page(task.sequence / TaskTable::kPage, count_returned);
  ahead += ahead_in_group;

  for (GroupQueueIndex at = levels_[own.priority].first; at; at = group_queues_[at].next) {
    if (at == own.group_queue) continue;
    std::uint64_t rival_count = 0;
    for (const Head& head : group_queues_[at].heads) {
      if (rivals.test(head.task_class.value)) rival_count += lanes_[head.lane].count;
    }
    ahead += std::min(rival_count, ahead_in_group + 1);
  }
  return ahead + 1;
}

void ReadyQueue::check_invariants() const {
  std::size_t total = 0;
  for (std::uint32_t i = 1; i <= lanes_.last(); ++i) {
    const Lane& lane = lanes_[LaneIndex{i}];
    if (lane.specs == 0) continue;
    std::uint64_t count = lane.returned.size();
    std::uint64_t last = 0;
    auto run = lane.runs.begin();
    std::uint32_t of_run = 0;
    TaskIndex last_place;
    for (TaskIndex at = lane.first; at; at = tasks_[at].queue_next()) {
      RC_ASSERT(run != lane.runs.end() && (of_run > 0 || run->first == at) && run->from <= tasks_[at].sequence);
      if (++of_run == run->count) {
        ++run;
        of_run = 0;
        RC_ASSERT(run == lane.runs.end() || run->from > tasks_[at].sequence);
      }
      last_place = at;
      RC_ASSERT(tasks_[at].sequence > last);
      RC_ASSERT(tasks_[at].status == TaskStatus::Queued && !tasks_[at].delayed && !tasks_[at].returned);
      last = tasks_[at].sequence;
      ++count;
    }
    for (const auto& [sequence, task] : lane.returned) {
      RC_ASSERT(tasks_[task].sequence == sequence && tasks_[task].returned);
      RC_ASSERT(tasks_[task].status == TaskStatus::Queued && !tasks_[task].delayed);
    }
    RC_ASSERT(count == lane.count);
    RC_ASSERT(run == lane.runs.end() && lane.last == last_place);
    std::uint64_t by_page = 0;
    for (const auto& [page, waiting] : lane.returned_pages) by_page += waiting;
    RC_ASSERT(by_page == lane.returned.size());
    RC_ASSERT((lane.head != 0) == (lane.count > 0));
    total += lane.count;
  }
  RC_ASSERT(total == size_);
}

}  // namespace retire::core
