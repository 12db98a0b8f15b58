#include "tests/fakes/durable_store.hpp"

#include <algorithm>

#include "common/base/assert.hpp"

namespace retire::testing {
namespace {

std::optional<std::string> copy(const std::optional<ByteView>& bytes) {
  if (!bytes) return std::nullopt;
  return std::string(*bytes);
}

}  // namespace

OwnedRecord::OwnedRecord(const store::Record& from)
    : record(from),
      payload(copy(from.task.payload)),
      data(copy(from.task.result_data)),
      metadata(from.task.metadata),
      reason(from.task.reason),
      device_id(from.task.device_id),
      error_message(from.task.error_message),
      traceback(from.task.traceback),
      logs(from.task.logs),
      device(from.device) {
  if (from.task.spec != nullptr) spec = *from.task.spec;
  if (from.task.error_history != nullptr) errors = *from.task.error_history;
}

store::Record OwnedRecord::view() const {
  store::Record out = record;
  out.task.spec = spec ? &*spec : nullptr;
  out.task.error_history = &errors;
  out.task.payload = payload ? std::optional<ByteView>(*payload) : std::nullopt;
  out.task.result_data = data ? std::optional<ByteView>(*data) : std::nullopt;
  out.task.metadata = metadata;
  out.task.reason = reason;
  out.task.device_id = device_id;
  out.task.error_message = error_message;
  out.task.traceback = traceback;
  out.task.logs = logs;
  out.device = device;
  return out;
}

FakeStore::FakeStore(FakeDisk& disk, std::uint64_t seed) : disk_(disk), rng_(seed ^ 0x64697363) {
  opened_ = {!disk.used, disk.clean, disk.records.size(), 0};
  disk_.used = true;
  disk_.clean = false;
  durable_ = disk_.last;
  plan_recovery();
}

// Chance decides which of the released records are still there. That a task is forgotten stays for as long as anything
// else of it does.
void FakeStore::plan_recovery() {
  for (const store::Position position : disk_.released) {
    if (rng_.below(2) == 0) disk_.records.erase(position);
  }
  disk_.released.clear();
  std::set<TaskId> unfinished;
  std::map<TaskId, store::Position> submitted;
  for (const auto& [position, owned] : disk_.records) {
    const TaskId& id = owned.record.task.id;
    switch (owned.record.kind) {
      case store::Record::Kind::Submitted:
        submitted[id] = position;
        unfinished.insert(id);
        break;
      case store::Record::Kind::Ended:
      case store::Record::Kind::Forgotten: unfinished.erase(id); break;
      case store::Record::Kind::Requeued:
        if (submitted.contains(id)) unfinished.insert(id);
        break;
      case store::Record::Kind::Dispatched:
      case store::Record::Kind::Retried:
      case store::Record::Kind::Device:
      case store::Record::Kind::Settings: break;
    }
  }
  store::Position lowest = UINT64_MAX;
  for (const TaskId& id : unfinished) lowest = std::min(lowest, submitted.at(id));
  std::vector<store::Position> history;
  for (const auto& [position, owned] : disk_.records) {
    if (owned.record.kind == store::Record::Kind::Settings) {
      settings_ = owned.device;
      continue;
    }
    const bool device = owned.record.kind == store::Record::Kind::Device;
    if (!device) known_.insert(owned.record.task.id);
    const auto at = submitted.find(owned.record.task.id);
    const bool early = !device && (at == submitted.end() || at->second < lowest);
    (early ? history : recovery_).push_back(position);
  }
  queue_part_ = recovery_.size();
  recovery_.insert(recovery_.end(), history.begin(), history.end());
}

void FakeStore::commit() {
  if (failure_) return;
  for (auto& [position, owned] : appended_) disk_.records.emplace(position, std::move(owned));
  if (!appended_.empty()) durable_ = disk_.last = appended_.rbegin()->first;
  appended_.clear();
  disk_.released.insert(releases_.begin(), releases_.end());
  releases_.clear();
}

store::Position FakeStore::append(const store::Record& record) {
  RC_ASSERT(!closed_);
  const store::Position last = appended_.empty() ? disk_.last : appended_.rbegin()->first;
  const store::Position position = last + 1 + rng_.below(3);
  appended_.emplace(position, OwnedRecord(record));
  return position;
}

Result<store::Position> FakeStore::durable() {
  if (failure_) return Error{ErrorCode::StorageFailed, *failure_};
  return durable_;
}

void FakeStore::release(store::Position position) {
  RC_ASSERT(appended_.contains(position) || disk_.records.contains(position));
  RC_ASSERT(gone_.insert(position).second);  // once
  releases_.push_back(position);
}

bool FakeStore::fetch(store::Position position, std::uint64_t token) {
  RC_ASSERT(position != 0 && position <= durable_);
  if (fetches_.size() == kFetchesMax) return false;
  fetches_.emplace_back(position, token);
  return true;
}

std::size_t FakeStore::fetched(std::size_t max, const Fetched& visit) {
  std::size_t count = 0;
  for (; answering_ && count < max && !fetches_.empty(); ++count) {
    std::swap(fetches_[rng_.below(fetches_.size())], fetches_.back());
    const auto [position, token] = fetches_.back();
    fetches_.pop_back();
    const auto at = disk_.records.find(position);
    if (at == disk_.records.end() || gone_.contains(position)) {
      visit(token, Error{ErrorCode::NotFound, "no record at " + std::to_string(position)});
      continue;
    }
    const store::Record record = at->second.view();
    visit(token, &record);
  }
  if (fetches_.empty()) answering_ = true;
  return count;
}

store::Store::Loading FakeStore::loading() const {
  if (recovered_ == recovery_.size()) return Loading::Done;
  return recovered_ < queue_part_ ? Loading::Queue : Loading::History;
}

Result<std::size_t> FakeStore::recover(std::size_t max, const Visit& visit) {
  if (failure_) return Error{ErrorCode::StorageFailed, *failure_};
  if (hold_recovery_ || (recover_max_ != SIZE_MAX && rng_.below(3) == 0)) return std::size_t{0};
  std::size_t count = 0;
  // One call may hand out the last of the queue and the first of the history; loading() says which a record is of.
  for (; count < std::min(max, recover_max_) && recovered_ < recovery_.size(); ++count) {
    const store::Position position = recovery_[recovered_];
    const store::Record record = disk_.records.at(position).view();
    visit(position, record);
    ++recovered_;
  }
  return count;
}

Status FakeStore::close() {
  if (failure_) return Error{ErrorCode::StorageFailed, *failure_};
  commit();
  disk_.clean = true;
  closed_ = true;
  return ok_status();
}

}  // namespace retire::testing
