// What looks at a whole store, or makes another of it; and its end.
#include <rocksdb/utilities/checkpoint.h>

#include <limits>
#include <mutex>

#include "broker/store/disk.hpp"
#include "broker/store/disk_errors.hpp"

namespace retire::store {
namespace {

constexpr std::size_t kReadAhead = std::size_t{2} << 20;

}  // namespace

Status Disk::checkpoint(const std::string& directory) {
  rocksdb::Checkpoint* made = nullptr;
  if (const auto status = rocksdb::Checkpoint::Create(db_.get(), &made); !status.ok()) {
    return failed("a backup of " + directory_ + " cannot be made", status);
  }
  const std::unique_ptr<rocksdb::Checkpoint> maker(made);
  if (const auto status = maker->CreateCheckpoint(directory); !status.ok()) {
    return Error{ErrorCode::Io, status.ToString()};
  }
  if (Status health = env_->health(); !health.ok()) return health;
  // What it holds is found by looking: writing went on meanwhile.
  Mark mark = mark_;
  mark.state = Mark::State::Open;
  mark.at_least = 0;
  if (Status written = store::write_mark(base_, directory, mark); !written.ok()) return written;
  const Result<std::unique_ptr<Disk>> copy = open_read_only(directory, base_);
  if (!copy.ok()) return copy.error();
  mark.state = Mark::State::Clean;
  mark.at_least = copy.value()->found().last;
  return store::write_mark(base_, directory, mark);
}

Result<std::uint64_t> Disk::verify(std::uint64_t last, const std::atomic<bool>* stop) {
  Scan ids;
  Scan records;
  {
    // Each is a view of one moment, and what is dropped later is kept for it.
    const std::lock_guard lock(structure_);
    ids = scan(Family::Ids, mark_.first, last);
    records = scan(Family::Records, mark_.first, last);
  }
  while (true) {
    Result<std::shared_ptr<Segment>> next = ids.next();
    if (!next.ok()) return next.error();
    if (next.value() == nullptr) break;
  }
  Result<std::uint64_t> count = count_records(records, stop);
  if (!count.ok()) return count;
  // And what no scan comes by.
  rocksdb::ReadOptions options;
  options.readahead_size = kReadAhead;
  if (const auto status = db_->VerifyChecksum(options); !status.ok()) return damaged(directory_, status.ToString());
  return count;
}

Result<std::uint64_t> Disk::count_records(Scan& all, const std::atomic<bool>* stop) {
  std::uint64_t records = 0;
  DecodedRecord record;
  while (true) {
    if (stop != nullptr && stop->load()) return Error{ErrorCode::Io, "not verified to the end: main is being stopped"};
    Result<std::shared_ptr<Segment>> next = all.next();
    if (!next.ok()) return next.error();
    if (next.value() == nullptr) return records;
    Segment& segment = *next.value();
    Segment::Cursor cursor(segment);
    std::uint64_t count = 0;
    while (const std::optional<EntryHead> head = cursor.next()) {
      if (head->type == kSpecEntry) continue;
      if (!segment.decode(*head, record)) {
        return damaged_batch(directory_, kRecordsFamily, segment.header().first,
                             "has an entry that cannot be read, before byte " + std::to_string(cursor.place()));
      }
      ++count;
    }
    if (cursor.damaged() || count != segment.header().records) {
      return damaged_batch(directory_, kRecordsFamily, segment.header().first,
                           "cannot be read at byte " + std::to_string(cursor.place()));
    }
    records += count;
  }
}

Status Disk::compact(std::atomic<bool>* stop) {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.canceled = stop;
  for (rocksdb::ColumnFamilyHandle* family : {records_, ids_}) {
    const auto status = db_->CompactRange(options, family, nullptr, nullptr);
    if (Status health = env_->health(); !health.ok()) return health;
    if (stop != nullptr && stop->load()) return Error{ErrorCode::Io, "not compacted to the end: main is being stopped"};
    if (!status.ok()) return failed("the store in " + directory_ + " cannot be compacted", status);
  }
  return ok_status();
}

std::uint64_t Disk::bytes_of(std::string_view suffix) const {
  std::vector<std::string> names;
  env_->GetChildren(directory_, &names);
  std::uint64_t sum = 0;
  for (const std::string& name : names) {
    std::uint64_t size = 0;
    if (name.ends_with(suffix) && env_->GetFileSize(directory_ + "/" + name, &size).ok()) sum += size;
  }
  return sum;
}

std::uint64_t Disk::used_bytes() const { return bytes_of(""); }
std::uint64_t Disk::log_bytes() const { return bytes_of(".log"); }

std::uint64_t Disk::free_bytes() const {
  std::uint64_t free = 0;
  return env_->GetFreeSpace(directory_, &free).ok() ? free : std::numeric_limits<std::uint64_t>::max();
}

std::uint64_t Disk::unflushed_bytes() const {
  std::uint64_t bytes = 0;
  return db_->GetAggregatedIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &bytes) ? bytes : 0;
}

Status Disk::close(std::uint64_t last) {
  if (Status health = env_->health(); !health.ok()) return health;
  const auto status = db_->Flush({}, handles_);
  if (Status health = env_->health(); !health.ok()) return health;
  if (!status.ok()) {
    return failed("the store in " + directory_ + " cannot be closed in order", status);
  }
  if (*failed_) {
    return Error{ErrorCode::StorageFailed, "the store in " + directory_ + " cannot be closed in order: it has failed"};
  }
  for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  handles_.clear();
  if (const auto closed = db_->Close(); !closed.ok()) {
    *failed_ = true;
    return failed("the store in " + directory_ + " cannot be closed in order", closed);
  }
  db_.reset();
  mark_.state = Mark::State::Clean;
  mark_.at_least = last;
  return write_mark();
}

}  // namespace retire::store
