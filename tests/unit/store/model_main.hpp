// A main that uses a store as the real one does, by a seed, and knows what must come out of it again.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "common/base/rng.hpp"
#include "tests/unit/store/records.hpp"

namespace retire::store {

class ModelMain {
 public:
  explicit ModelMain(std::uint64_t seed) : rng_(seed) {}

  // What was acknowledged when the store was used last.
  Position acknowledged() const { return acknowledged_; }
  std::size_t tasks() const { return tasks_.size(); }

  // Begins to use a store that was just opened: loads it and compares. False, with the error, if it refuses. What was
  // not acknowledged may be gone, but only from the end on and by whole batches.
  bool attach(Store& store, std::string& error) {
    store_ = &store;
    const Result<Position> durable = store.durable();
    if (!durable.ok()) return error = durable.error().detail, false;
    const bool kept = durable.value() >= acknowledged_;
    EXPECT_TRUE(kept) << "acknowledged records are gone";
    mismatched_ = mismatched_ || !kept;
    if (!kept) return error = "acknowledged records are gone", false;
    const std::map<TaskId, Task> expected = replay(durable.value());
    tasks_.clear();
    for (const auto& [id, task] : expected) EXPECT_TRUE(store.loading() == Store::Loading::Done || store.may_know(id));
    if (!load(error)) return false;
    // Comparing what it says, task by task.
    bool same = tasks_.size() == expected.size();
    for (const auto& [id, task] : expected) {
      const auto found = tasks_.find(id);
      same = same && found != tasks_.end() && found->second.text == task.text &&
             found->second.state_text == task.state_text && found->second.submitted == task.submitted;
      if (found != tasks_.end()) found->second.n = task.n;
    }
    EXPECT_TRUE(same) << tasks_.size() << " tasks came out of the store, " << expected.size() << " went in";
    mismatched_ = mismatched_ || !same;
    if (!same) error = "what came out of the store is not what went in";
    return same;
  }
  // Whether a store that seemed well has given back something else than was put in.
  bool mismatched() const { return mismatched_; }

  // Something that happens to a task.
  void step() {
    const std::uint64_t what = rng_.below(100);
    if (tasks_.size() < 5 || what < 30) return submit();
    const auto at = std::next(tasks_.begin(), static_cast<std::ptrdiff_t>(rng_.below(tasks_.size())));
    Task& task = at->second;
    if (task.ended) {
      if (what < 85) {
        forget(at);
      } else {
        state(at->first, task, maker_.of(Record::Kind::Requeued, task.n, task.submitted));
        task.ended = false;
      }
      return;
    }
    if (what < 45) {
      if (task.dispatched != 0) store_->release(task.dispatched);
      task.dispatched = append(at->first, maker_.dispatched(task.n, task.submitted));
    } else if (what < 55) {
      state(at->first, task, maker_.retried(task.n, task.submitted));
    } else {
      state(at->first, task, maker_.ended(task.n, task.submitted, rng_.below(300)));
      task.ended = true;
    }
  }

  void submit(std::size_t payload_max = 400) {
    const std::uint64_t n = next_++;
    const Record record = maker_.submitted(n, rng_.below(payload_max));
    Task task;
    task.n = n;
    task.text = text_of(record);
    task.submitted = append(record.task.id, record);
    tasks_[record.task.id] = task;
  }

  // The end of a turn: what is durable by now counts as acknowledged. False when the store has failed.
  bool turn() {
    store_->submit();
    return look();
  }
  bool look() {
    const Result<Position> durable = store_->durable();
    if (!durable.ok()) return false;
    acknowledged_ = durable.value();
    return true;
  }
  // Until everything is acknowledged; false when the store has failed.
  bool settle() {
    while (appended_ > acknowledged_) {
      if (!turn()) return false;
      std::this_thread::yield();
    }
    return true;
  }

  // Fetches some of the records that are durable and compares. False when the store has failed.
  bool fetch_some() {
    std::vector<std::pair<Position, std::string>> asked;
    for (const auto& [id, task] : tasks_) {
      if (task.submitted <= acknowledged_ && asked.size() < 16) asked.emplace_back(task.submitted, task.text);
      if (task.state != 0 && task.state <= acknowledged_) asked.emplace_back(task.state, task.state_text);
      if (asked.size() >= 32) break;
    }
    for (std::size_t i = 0; i < asked.size(); ++i) EXPECT_TRUE(store_->fetch(asked[i].first, i));
    std::size_t come = 0;
    bool failed = false;
    while (come < asked.size()) {
      come += store_->fetched(100, [&](std::uint64_t token, const Result<const Record*>& record) {
        if (!record.ok()) {
          failed = true;
        } else {
          EXPECT_EQ(text_of(*record.value()), asked.at(token).second);
        }
      });
      std::this_thread::yield();
    }
    return !failed;
  }

 private:
  struct Task {
    std::uint64_t n = 0;
    std::string text;
    std::string state_text;
    Position submitted = 0;
    Position state = 0;
    Position dispatched = 0;
    bool ended = false;
  };
  struct Event {
    Position position = 0;
    Record::Kind kind = Record::Kind::Submitted;
    TaskId id;
    std::uint64_t n = 0;
    std::string text;
  };

  Position append(const TaskId& id, const Record& record) {
    const Position position = store_->append(record);
    EXPECT_GT(position, appended_);
    appended_ = position;
    events_.push_back({position, record.kind, id, next_ - 1, text_of(record)});
    return position;
  }

  void state(const TaskId& id, Task& task, const Record& record) {
    if (task.state != 0) store_->release(task.state);
    if (task.dispatched != 0) store_->release(task.dispatched);
    task.dispatched = 0;
    task.state_text = text_of(record);
    task.state = append(id, record);
  }

  void forget(std::map<TaskId, Task>::iterator at) {
    release_all(at->second);
    append(at->first, maker_.of(Record::Kind::Forgotten, at->second.n, at->second.submitted));
    tasks_.erase(at);
  }

  void release_all(const Task& task) {
    store_->release(task.submitted);
    if (task.state != 0) store_->release(task.state);
    if (task.dispatched != 0) store_->release(task.dispatched);
  }

  // What must be there when everything up to `position` is. What came after is forgotten: it never happened.
  std::map<TaskId, Task> replay(Position position) {
    std::map<TaskId, Task> out;
    std::size_t kept = 0;
    for (; kept < events_.size() && events_[kept].position <= position; ++kept) {
      const Event& event = events_[kept];
      Task& task = out[event.id];
      switch (event.kind) {
        case Record::Kind::Submitted:
          task.n = event.n;
          task.text = event.text;
          task.submitted = event.position;
          break;
        case Record::Kind::Dispatched: break;
        case Record::Kind::Forgotten: out.erase(event.id); break;
        default: task.state_text = event.text;
      }
    }
    events_.resize(kept);
    appended_ = acknowledged_ = position;
    return out;
  }

  // As main does after a restart.
  bool load(std::string& error) {
    while (store_->loading() != Store::Loading::Done) {
      const Result<std::size_t> loaded =
          store_->recover(7, [&](Position position, const Record& record) { take(position, record); });
      if (!loaded.ok()) return error = loaded.error().detail, false;
      if (loaded.value() == 0) std::this_thread::yield();
    }
    return true;
  }

  void take(Position position, const Record& record) {
    if (record.kind == Record::Kind::Submitted) {
      EXPECT_FALSE(tasks_.contains(record.task.id)) << "visited twice";
      Task& task = tasks_[record.task.id];
      task.text = text_of(record);
      task.submitted = position;
      return;
    }
    const auto at = tasks_.find(record.task.id);
    if (at == tasks_.end()) {
      if (record.kind != Record::Kind::Forgotten) store_->release(position);
      return;
    }
    Task& task = at->second;
    EXPECT_EQ(record.of, task.submitted);
    if (record.kind == Record::Kind::Forgotten) {
      release_all(task);
      tasks_.erase(at);
      return;
    }
    if (task.dispatched != 0) store_->release(task.dispatched);
    task.dispatched = 0;
    if (record.kind == Record::Kind::Dispatched) {
      task.dispatched = position;
      return;
    }
    if (task.state != 0) store_->release(task.state);
    task.state = position;
    task.state_text = text_of(record);
    task.ended = record.kind == Record::Kind::Ended;
  }

  Rng rng_;
  Maker maker_;
  Store* store_ = nullptr;
  std::map<TaskId, Task> tasks_;
  std::vector<Event> events_;
  std::uint64_t next_ = 0;
  Position appended_ = 0;
  Position acknowledged_ = 0;
  bool mismatched_ = false;
};

}  // namespace retire::store
