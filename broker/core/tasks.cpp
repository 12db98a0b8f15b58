#include "broker/core/tasks.hpp"

#include <bit>

namespace retire::core {
namespace {

constexpr std::size_t kSlotsFirst = 1024;

// IDs are the clients' choice, so both halves are mixed: a client that counts upwards must not fill one run of slots.
std::uint32_t hash_of(const TaskId& id) {
  std::uint64_t z = id.high() ^ (id.low() * 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 31)) * 0xbf58476d1ce4e5b9ull;
  return static_cast<std::uint32_t>(z >> 32);
}

}  // namespace

TaskTable::TaskTable() : by_id_(kSlotsFirst) {}

std::size_t TaskTable::slot_of(const TaskId& id, std::uint32_t hash) const {
  const std::size_t mask = by_id_.size() - 1;
  std::size_t slot = hash & mask;
  while (by_id_[slot].task && (by_id_[slot].hash != hash || tasks_[by_id_[slot].task].id != id))
    slot = (slot + 1) & mask;
  return slot;
}

void TaskTable::grow(std::size_t slots) {
  std::vector<Slot> old(slots);
  old.swap(by_id_);
  const std::size_t mask = by_id_.size() - 1;
  for (const Slot& moved : old) {
    if (!moved.task) continue;
    std::size_t slot = moved.hash & mask;
    while (by_id_[slot].task) slot = (slot + 1) & mask;
    by_id_[slot] = moved;
  }
}

void TaskTable::reserve(std::size_t tasks) {
  const std::size_t slots = std::bit_ceil(tasks * 3 / 2 + 1);
  if (slots > by_id_.size()) grow(slots);
}

void TaskTable::prefetch(const TaskId& id) const { __builtin_prefetch(&by_id_[hash_of(id) & (by_id_.size() - 1)]); }

TaskIndex TaskTable::find(const TaskId& id) const { return by_id_[slot_of(id, hash_of(id))].task; }

TaskIndex TaskTable::add(const TaskId& id, std::uint64_t sequence) {
  if ((by_id_used_ + 1) * 3 > by_id_.size() * 2) grow(by_id_.size() * 2);
  const TaskIndex place = tasks_.add();
  Task& task = tasks_[place];
  task.id = id;
  task.sequence = sequence;
  ++by_status_[static_cast<std::size_t>(task.status)];

  const std::uint32_t hash = hash_of(id);
  const std::size_t slot = slot_of(id, hash);
  RC_ASSERT(!by_id_[slot].task);
  by_id_[slot] = {place, hash};
  ++by_id_used_;

  const std::uint64_t number = task.sequence / kPage;
  if (newest_page_ == nullptr || newest_page_number_ != number) {
    std::unique_ptr<Page>& page = pages_[number];
    if (page == nullptr) page = std::make_unique<Page>();
    newest_page_ = page.get();
    newest_page_number_ = number;
  }
  newest_page_->tasks[task.sequence % kPage] = place;
  ++newest_page_->count;
  return place;
}

void TaskTable::remove(TaskIndex place) {
  Task& task = tasks_[place];
  --by_status_[static_cast<std::size_t>(task.status)];
  if (task.extra != 0) extras_.remove({task.extra});
  if (task.ending != 0) endings_.remove({task.ending});

  const auto page = pages_.find(task.sequence / kPage);
  page->second->tasks[task.sequence % kPage] = TaskIndex{};
  if (--page->second->count == 0) {
    if (page->second.get() == newest_page_) newest_page_ = nullptr;
    pages_.erase(page);
  }

  // Deletion without tombstones (Knuth, vol. 3, 6.4, algorithm R): what stands behind the hole moves up where it may.
  const std::size_t mask = by_id_.size() - 1;
  std::size_t hole = slot_of(task.id, hash_of(task.id));
  RC_ASSERT(by_id_[hole].task == place);
  by_id_[hole] = {};
  --by_id_used_;
  for (std::size_t at = (hole + 1) & mask; by_id_[at].task; at = (at + 1) & mask) {
    const std::size_t home = by_id_[at].hash & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    by_id_[hole] = by_id_[at];
    by_id_[at] = {};
    hole = at;
  }
  tasks_.remove(place);
}

TaskExtra& TaskTable::extra(TaskIndex place) {
  Task& task = tasks_[place];
  if (task.extra == 0) task.extra = extras_.add().value;
  return extras_[{task.extra}];
}

const TaskExtra* TaskTable::find_extra(TaskIndex place) const {
  const Task& task = tasks_[place];
  return task.extra == 0 ? nullptr : &extras_[{task.extra}];
}

Ending& TaskTable::ending(TaskIndex place) {
  Task& task = tasks_[place];
  if (task.ending == 0) task.ending = endings_.add().value;
  return endings_[{task.ending}];
}

const Ending* TaskTable::find_ending(TaskIndex place) const {
  const Task& task = tasks_[place];
  return task.ending == 0 ? nullptr : &endings_[{task.ending}];
}

void TaskTable::drop_ending(TaskIndex place) {
  Task& task = tasks_[place];
  if (task.ending == 0) return;
  endings_.remove({task.ending});
  task.ending = 0;
}

void TaskTable::set_status(TaskIndex place, TaskStatus status) {
  Task& task = tasks_[place];
  --by_status_[static_cast<std::size_t>(task.status)];
  ++by_status_[static_cast<std::size_t>(status)];
  task.status = status;
}

}  // namespace retire::core
