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
}

Priority ReadyQueue::aged(Priority priority, WallTime since, WallTime now, Duration age_after) {
  const std::int64_t levels = now > since ? (now - since) / age_after : 0;
  return static_cast<Priority>(std::min<std::int64_t>(static_cast<std::int64_t>(priority) + levels, kPriorityCount));
}

void ReadyQueue::added(LaneIndex place, TaskIndex task) {
  Lane& lane = lanes_[place];
  Level& level = levels_[lane.priority];
  const std::uint64_t page = tasks_[task].sequence / TaskTable::kPage;
  if (!lane.pages.empty() && lane.pages.rbegin()->first == page) {
    ++lane.pages.rbegin()->second;  // nearly always
  } else {
    ++lane.pages[page];
  }
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
  RC_ASSERT(!lane.last || tasks_[lane.last].sequence < task.sequence);
  task.queue_previous = lane.last;
  task.queue_next = {};
  if (lane.last) {
    tasks_[lane.last].queue_next = place;
  } else {
    lane.first = place;
  }
  lane.last = place;
  added(lane_place, place);
  if (lane.head == 0 || lane.count == 1) refresh_head(lane_place);
}

void ReadyQueue::push_returned(TaskIndex place) {
  Task& task = tasks_[place];
  const LaneIndex lane = lane_of(task.spec);
  task.returned = true;
  lanes_[lane].returned.emplace(task.sequence, place);
  added(lane, place);
  refresh_head(lane);
}

void ReadyQueue::remove(TaskIndex place) {
  Task& task = tasks_[place];
  const LaneIndex lane_place = catalog_.spec(task.spec).lane;
  Lane& lane = lanes_[lane_place];
  if (task.returned) {
    lane.returned.erase({task.sequence, place});
    task.returned = false;
  } else {
    (task.queue_previous ? tasks_[task.queue_previous].queue_next : lane.first) = task.queue_next;
    (task.queue_next ? tasks_[task.queue_next].queue_previous : lane.last) = task.queue_previous;
    task.queue_previous = {};
    task.queue_next = {};
  }
  const std::uint64_t page = task.sequence / TaskTable::kPage;
  auto counted = lane.pages.begin();
  if (counted->first != page) counted = lane.pages.find(page);  // the first, nearly always
  if (--counted->second == 0) lane.pages.erase(counted);
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

std::uint64_t ReadyQueue::count_before(const Lane& lane, std::uint64_t page) {
  std::uint64_t count = 0;
  for (const auto& [number, waiting] : lane.pages) {
    if (number >= page) break;
    count += waiting;
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

  const std::uint64_t page = task.sequence / TaskTable::kPage;
  std::uint64_t ahead_in_group = 0;
  for (const Head& head : group_queues_[own.group_queue].heads) {
    if (rivals.test(head.task_class.value)) ahead_in_group += count_before(lanes_[head.lane], page);
  }
  tasks_.visit_page(page, [&](TaskIndex other_place) {
    const Task& other = tasks_[other_place];
    if (other.status != TaskStatus::Queued || other.delayed || other.sequence >= task.sequence) return;
    const LaneIndex lane_place = catalog_.spec(other.spec).lane;
    if (!lane_place) return;
    const Lane& lane = lanes_[lane_place];
    if (lane.group_queue == own.group_queue && rivals.test(lane.task_class.value)) ++ahead_in_group;
  });
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
    for (TaskIndex at = lane.first; at; at = tasks_[at].queue_next) {
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
    std::uint64_t by_page = 0;
    for (const auto& [page, waiting] : lane.pages) by_page += waiting;
    RC_ASSERT(by_page == lane.count);
    RC_ASSERT((lane.head != 0) == (lane.count > 0));
    total += lane.count;
  }
  RC_ASSERT(total == size_);
}

}  // namespace retire::core
