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

PluginName PluginNames::intern(std::string_view name) {
  if (name.empty()) return nullptr;
  if (latest_ != nullptr && *latest_ == name) return latest_;
  const auto found = known_.find(name);
  PluginName kept = found == known_.end() ? nullptr : found->second.lock();
  if (kept == nullptr) {
    // Going through all of them is for once in a while, also when a worker makes up a name for each result.
    if (known_.size() >= tidy_at_) {
      if (known_.size() >= kMax && refused_++ % 1024 != 0) return nullptr;
      std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
      tidy_at_ = std::min(std::max<std::size_t>(2 * known_.size(), 64), kMax);
      if (known_.size() >= kMax) return nullptr;
    }
    kept = std::make_shared<const std::string>(name);
    known_[*kept] = kept;
  }
  latest_ = kept;
  return kept;
}

TaskTable::TaskTable() : by_id_(kSlotsFirst) {}

std::size_t TaskTable::slot_of(const TaskId& id, std::uint32_t hash) const {
  std::size_t slot = home_of(hash);
  while (by_id_[slot].task && (by_id_[slot].hash != hash || tasks_[by_id_[slot].task].id != id)) {
    if (++slot == by_id_.size()) slot = 0;
  }
  return slot;
}

void TaskTable::grow(std::size_t slots) {
  std::vector<Slot, TableAllocator<Slot>> old(slots);
  old.swap(by_id_);
  for (const Slot& moved : old) {
    if (!moved.task) continue;
    std::size_t slot = home_of(moved.hash);
    while (by_id_[slot].task) {
      if (++slot == by_id_.size()) slot = 0;
    }
    by_id_[slot] = moved;
  }
}

void TaskTable::reserve(std::size_t tasks) {
  const std::size_t slots = tasks + tasks / 3 + 2;
  if (slots > by_id_.size()) grow(slots);
}

void TaskTable::fetch(const TaskId& id) const { prefetch(&by_id_[home_of(hash_of(id))]); }

void TaskTable::fetch_parts(TaskIndex place) const {
  const Task& task = tasks_[place];
  fetch(task.id);
  task.payload.fetch();
  if (task.link_is == Task::Link::Ending) prefetch_object(endings_[{task.link}]);
}

TaskIndex TaskTable::find(const TaskId& id) const { return by_id_[slot_of(id, hash_of(id))].task; }

TaskIndex TaskTable::add(const TaskId& id, std::uint64_t sequence) {
  if ((by_id_used_ + 1) * 4 > by_id_.size() * 3) grow(by_id_.size() + by_id_.size() / 4);
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

void TaskTable::drop_from_page(const Task& task) {
  const std::uint64_t number = task.sequence / kPage;
  if (removed_page_ == nullptr || removed_page_number_ != number) {
    removed_page_ = pages_.find(number)->second.get();
    removed_page_number_ = number;
  }
  removed_page_->tasks[task.sequence % kPage] = TaskIndex{};
  if (--removed_page_->count > 0) return;
  if (removed_page_ == newest_page_) newest_page_ = nullptr;
  removed_page_ = nullptr;
  pages_.erase(number);
}

void TaskTable::remove(TaskIndex place) {
  Task& task = tasks_[place];
  --by_status_[static_cast<std::size_t>(task.status)];
  if (task.extra != 0) extras_.remove({task.extra});
  if (task.link_is == Task::Link::Ending) endings_.remove({task.link});
  drop_from_page(task);

  // Deletion without tombstones (Knuth, vol. 3, 6.4, algorithm R): what stands behind the hole moves up where it may.
  const std::size_t size = by_id_.size();
  const auto behind = [size](std::size_t at, std::size_t from) { return at >= from ? at - from : at + size - from; };
  std::size_t hole = slot_of(task.id, hash_of(task.id));
  RC_ASSERT(by_id_[hole].task == place);
  by_id_[hole] = {};
  --by_id_used_;
  for (std::size_t at = hole;;) {
    if (++at == size) at = 0;
    if (!by_id_[at].task) break;
    if (behind(at, home_of(by_id_[at].hash)) < behind(at, hole)) continue;
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

AttemptIndex TaskTable::attempt(TaskIndex place) const {
  const Task& task = tasks_[place];
  if (task.link_is == Task::Link::Attempt) return {task.link};
  return task.link_is == Task::Link::Ending ? endings_[{task.link}].attempt : AttemptIndex{};
}

void TaskTable::set_attempt(TaskIndex place, AttemptIndex attempt) {
  Task& task = tasks_[place];
  if (task.link_is == Task::Link::Ending) {
    endings_[{task.link}].attempt = attempt;
    return;
  }
  RC_ASSERT(task.link_is != Task::Link::Next);
  task.link = attempt.value;
  task.link_is = attempt ? Task::Link::Attempt : Task::Link::None;
}

Ending& TaskTable::ending(TaskIndex place) {
  Task& task = tasks_[place];
  if (task.link_is == Task::Link::Ending) return endings_[{task.link}];
  const AttemptIndex held = attempt(place);
  task.link = endings_.add().value;
  task.link_is = Task::Link::Ending;
  Ending& ending = endings_[{task.link}];
  ending.attempt = held;
  return ending;
}

const Ending* TaskTable::find_ending(TaskIndex place) const {
  const Task& task = tasks_[place];
  return task.link_is == Task::Link::Ending ? &endings_[{task.link}] : nullptr;
}

void TaskTable::drop_ending(TaskIndex place) {
  Task& task = tasks_[place];
  if (task.link_is != Task::Link::Ending) return;
  const AttemptIndex held = attempt(place);
  endings_.remove({task.link});
  task.link_is = Task::Link::None;
  set_attempt(place, held);
}

void TaskTable::set_status(TaskIndex place, TaskStatus status) {
  Task& task = tasks_[place];
  --by_status_[static_cast<std::size_t>(task.status)];
  ++by_status_[static_cast<std::size_t>(status)];
  task.status = status;
}

}  // namespace retire::core
