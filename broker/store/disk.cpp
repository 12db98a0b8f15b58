#include "broker/store/disk.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <limits>
#include <random>

#include "broker/store/crc32c.hpp"
#include "broker/store/disk_errors.hpp"
#include "common/base/assert.hpp"

namespace retire::store {
namespace {

constexpr std::size_t kWriteBytesKept = std::size_t{16} << 20;
constexpr char kSettingsKey[] = "settings";  // in the default column family, alone there
constexpr std::size_t kReadAhead = std::size_t{2} << 20;

// Big-endian, so that keys sort as numbers do.
class Key {
 public:
  explicit Key(std::uint64_t batch) {
    const std::uint64_t swapped = __builtin_bswap64(batch);
    std::memcpy(bytes_.data(), &swapped, sizeof swapped);
  }
  operator rocksdb::Slice() const { return {bytes_.data(), bytes_.size()}; }

 private:
  std::array<char, 8> bytes_{};
};

std::optional<std::uint64_t> read_key(const rocksdb::Slice& key) {
  if (key.size() != 8) return std::nullopt;
  std::uint64_t value = 0;
  std::memcpy(&value, key.data(), sizeof value);
  return __builtin_bswap64(value);
}

class FlushCounter final : public rocksdb::EventListener {
 public:
  FlushCounter(std::shared_ptr<std::atomic<std::uint64_t>> count, std::shared_ptr<std::atomic<bool>> failed)
      : count_(std::move(count)), failed_(std::move(failed)) {}
  void OnFlushCompleted(rocksdb::DB* /*db*/, const rocksdb::FlushJobInfo& /*info*/) override { ++*count_; }
  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status* /*status*/) override {
    *failed_ = true;
  }

 private:
  std::shared_ptr<std::atomic<std::uint64_t>> count_;
  std::shared_ptr<std::atomic<bool>> failed_;
};

// RocksDB's own log would be a file beside the data that is written outside of the fail-stop file system, and RocksDB
// 7.8 ends the process on an assertion when it writes to it again after the disk was full. What matters is in statuses.
class NoLog final : public rocksdb::Logger {
 public:
  NoLog() : rocksdb::Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

rocksdb::DBOptions database_options(rocksdb::Env& env) {
  rocksdb::DBOptions options;
  [[maybe_unused]] static const bool replaced = crc32c_is_replaced();  // links it in
  options.env = &env;
  // Stops at the first damage, wherever it is; check_tail() has then made sure that it is a power cut's trace and
  // nothing else. The tolerant mode stops silently at some kinds of damage and refuses to open for others that are a
  // torn tail (docs/adr/0005-embedded-store.md).
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.track_and_verify_wals_in_manifest = true;
  options.atomic_flush = true;  // both families stand at the same batch in the data files
  options.avoid_flush_during_shutdown = true;
  options.max_bgerror_resume_count = 0;  // nothing that failed is tried again
  options.max_background_jobs = 2;
  options.max_open_files = 512;
  options.max_total_wal_size = std::uint64_t{256} << 20;
  options.bytes_per_sync = std::uint64_t{1} << 20;
  options.info_log = std::make_shared<NoLog>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::ColumnFamilyOptions family_options(std::size_t memtable_bytes) {
  rocksdb::BlockBasedTableOptions table;
  table.block_size = std::size_t{64} << 10;
  table.block_cache = rocksdb::NewLRUCache(std::size_t{8} << 20);
  rocksdb::ColumnFamilyOptions options;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = memtable_bytes;
  options.max_write_buffer_number = 4;
  // Keys come in order, so files do not overlap and are moved rather than merged; only tidying makes real compactions.
  options.target_file_size_base = std::uint64_t{32} << 20;
  options.max_bytes_for_level_base = std::uint64_t{256} << 20;
  options.level0_slowdown_writes_trigger = 64;
  options.level0_stop_writes_trigger = 128;
  return options;
}

}  // namespace

Disk::~Disk() { close_database(); }

void Disk::close_database() {
  if (db_ == nullptr) return;
  if (*failed_ || !env_->health().ok()) {
    // After a failed flush RocksDB 7.8 may end the process on an assertion when it is closed. Nothing more is wanted of
    // this one, and main ends soon: it is brought to rest and left.
    rocksdb::CancelAllBackgroundWork(db_.get(), true);
    handles_.clear();
    records_ = ids_ = nullptr;
    [[maybe_unused]] const rocksdb::DB* left = db_.release();
    [[maybe_unused]] const auto* below = new std::shared_ptr<FailStopEnv>(env_);
    return;
  }
  for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
  handles_.clear();
  records_ = ids_ = nullptr;
  db_->Close();
  db_.reset();
}

Status Disk::open_database(bool read_only) {
  rocksdb::DBOptions options = database_options(*env_);
  options.create_if_missing = options.create_missing_column_families = mark_.state == Mark::State::Creating;
  options.listeners.push_back(std::make_shared<FlushCounter>(flushes_, failed_));
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {
      {rocksdb::kDefaultColumnFamilyName, family_options(std::size_t{1} << 20)},
      {kRecordsFamily, family_options(memtable_bytes_)},
      {kIdsFamily, family_options(memtable_bytes_ / 8)}};
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = read_only ? rocksdb::DB::OpenForReadOnly(options, directory_, families, &handles_, &db)
                                           : rocksdb::DB::Open(options, directory_, families, &handles_, &db);
  if (!status.ok()) {
    handles_.clear();
    if (Status health = env_->health(); !health.ok()) return health;
    if (status.IsCorruption()) return damaged(directory_, status.ToString());
    return failed("the store in " + directory_ + " cannot be opened", status);
  }
  db_.reset(db);
  records_ = handles_[1];
  ids_ = handles_[2];
  return env_->health();
}

// The last batch, and the lowest unfinished one as it knew it.
Status Disk::look(std::uint64_t& last, std::uint64_t& lowest) {
  std::array<std::uint64_t, 2> lasts{};
  for (const Family family : {Family::Records, Family::Ids}) {
    const char* const name = family == Family::Records ? kRecordsFamily : kIdsFamily;
    const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator({}, family == Family::Records ? records_ : ids_));
    at->SeekToLast();
    if (!at->Valid()) {
      if (!at->status().ok())
        return damaged(directory_, std::string("column family ") + name + ": " + at->status().ToString());
      continue;
    }
    const std::uint64_t key = read_key(at->key()).value_or(0);
    const Result<Header> header = read_header(at->value().ToStringView(), mark_.salt);
    if (!header.ok()) return damaged_batch(directory_, name, key, header.error().detail);
    lasts.at(static_cast<std::size_t>(family)) = header.value().last;
    if (family == Family::Records) lowest = header.value().lowest;
  }
  if (lasts[0] != lasts[1]) {
    return damaged(directory_, "column family records ends with batch " + std::to_string(lasts[0]) +
                                   ", column family ids with " + std::to_string(lasts[1]));
  }
  last = lasts[0];
  if (last < mark_.first) {
    // Nothing is kept, which is right if nothing was to be kept.
    last = mark_.first - 1;
    lowest = mark_.first;
  }
  lowest = std::max(lowest, mark_.first);
  const bool clean = mark_.state == Mark::State::Clean;
  if (last < mark_.at_least || (clean && last != mark_.at_least)) {
    return damaged(directory_, "it ends with batch " + std::to_string(last) + ", but batch " +
                                   std::to_string(mark_.at_least) + (clean ? " was the last" : " was durable"));
  }
  return ok_status();
}

Status Disk::read_settings() {
  std::string value;
  const rocksdb::Status status = db_->Get({}, kSettingsKey, &value);
  if (status.IsNotFound()) return ok_status();
  if (!status.ok()) return damaged(directory_, std::string("the settings cannot be read: ") + status.ToString());
  const Result<Header> header = check(value, mark_.salt);
  if (!header.ok()) return damaged(directory_, "the value of the settings " + header.error().detail);
  found_.settings = value.substr(kHeaderBytes);
  return ok_status();
}

// A batch is written only when the one before it is durable. So after a power cut at most one batch may be torn, and
// nothing may follow it: if a later one can be seen in the logs, what cannot be read had been durable, and it is not a
// power cut that took it. Nothing is changed here: opening for real would throw the evidence away.
Status Disk::check_tail() {
  const Result<std::uint64_t> highest = highest_in_logs(*env_, directory_, mark_.salt);
  if (!highest.ok()) return highest.error();
  if (const Status opened = open_database(true); !opened.ok()) return opened;
  std::uint64_t last = 0;
  std::uint64_t lowest = 0;
  const Status looked = look(last, lowest);
  close_database();
  if (!looked.ok()) return looked;
  if (highest.value() > last + 1) {
    return damaged(directory_, "the write-ahead log cannot be read at batch " + std::to_string(last + 1) +
                                   ", but batch " + std::to_string(highest.value()) + " follows it");
  }
  found_.dropped_batches = highest.value() == last + 1 ? 1 : 0;
  return ok_status();
}

Result<std::unique_ptr<Disk>> Disk::open(const std::string& directory, rocksdb::Env& base, std::size_t memtable_bytes) {
  std::unique_ptr<Disk> disk(new Disk(directory, base));
  rocksdb::Env& env = *disk->env_;
  disk->memtable_bytes_ = memtable_bytes;
  if (const auto status = env.CreateDirIfMissing(directory); !status.ok()) {
    return Error{ErrorCode::Configuration,
                 "the store's directory " + directory + " cannot be made: " + status.ToString() + "; see --data-dir"};
  }
  Result<std::optional<Mark>> mark = read_mark(env, directory);
  if (!mark.ok()) return mark.error();
  const bool fresh = !mark.value() || mark.value()->state == Mark::State::Creating;
  if (!mark.value() && env.FileExists(directory + "/CURRENT").ok()) {
    return damaged(directory, "the file MARK is missing");
  }
  if (fresh) {
    // What a creation that was cut short has left goes.
    std::vector<std::string> names;
    env.GetChildren(directory, &names);
    for (const std::string& name : names) {
      if (name != "." && name != "..") env.DeleteFile(directory + "/" + name);
    }
    std::random_device random;
    disk->mark_ = {.schema = kSchema, .salt = (std::uint64_t{random()} << 32) | random()};
    if (const Status written = disk->write_mark(); !written.ok()) return written.error();
  } else {
    disk->mark_ = *mark.value();
    disk->found_.fresh = false;
    disk->found_.clean = disk->mark_.state == Mark::State::Clean;
    if (!disk->found_.clean) {
      if (const Status checked = disk->check_tail(); !checked.ok()) return checked.error();
    }
  }
  if (const Status opened = disk->open_database(false); !opened.ok()) return opened.error();
  if (!fresh) {
    if (const Status looked = disk->look(disk->found_.last, disk->found_.lowest); !looked.ok()) return looked.error();
  }
  if (const Status read = disk->read_settings(); !read.ok()) return read.error();
  disk->mark_.schema = kSchema;
  disk->mark_.state = Mark::State::Open;
  disk->mark_.at_least = disk->found_.last;
  if (const Status written = disk->write_mark(); !written.ok()) return written.error();
  return disk;
}

// What RocksDB heard of the disk is worth nothing once the disk has failed.
Status Disk::write_mark() {
  if (Status health = env_->health(); !health.ok()) return health;
  if (Status written = store::write_mark(*env_, directory_, mark_); !written.ok()) return written;
  return env_->health();
}

Result<std::unique_ptr<Disk>> Disk::open_read_only(const std::string& directory, rocksdb::Env& base) {
  std::unique_ptr<Disk> disk(new Disk(directory, base));
  rocksdb::Env& env = *disk->env_;
  Result<std::optional<Mark>> mark = read_mark(env, directory);
  if (!mark.ok()) return mark.error();
  if (!mark.value() || mark.value()->state == Mark::State::Creating) {
    return Error{ErrorCode::Configuration, "there is no store in " + directory};
  }
  disk->mark_ = *mark.value();
  disk->found_.fresh = false;
  disk->found_.clean = disk->mark_.state == Mark::State::Clean;
  if (!disk->found_.clean) {
    if (const Status checked = disk->check_tail(); !checked.ok()) return checked.error();
  }
  if (const Status opened = disk->open_database(true); !opened.ok()) return opened.error();
  if (const Status looked = disk->look(disk->found_.last, disk->found_.lowest); !looked.ok()) return looked.error();
  if (const Status read = disk->read_settings(); !read.ok()) return read.error();
  return disk;
}

Status Disk::write(std::uint64_t number, std::string_view value, std::string_view ids, std::string_view settings) {
  write_batch_.Clear();
  if (!settings.empty()) write_batch_.Put(kSettingsKey, settings);
  write_batch_.Put(records_, Key(number), value);
  write_batch_.Put(ids_, Key(number), ids);
  rocksdb::WriteOptions options;
  options.sync = true;
  const rocksdb::Status status = db_->Write(options, &write_batch_);
  if (write_batch_.GetDataSize() > kWriteBytesKept) write_batch_ = rocksdb::WriteBatch();
  if (Status health = env_->health(); !health.ok()) return health;
  if (status.ok()) return ok_status();
  return failed("the store in " + directory_ + " cannot write batch " + std::to_string(number), status);
}

Status Disk::replace(const std::vector<std::uint64_t>& parts, std::string_view value, std::string_view ids) {
  RC_ASSERT(!parts.empty());
  rocksdb::WriteBatch batch(value.size() + ids.size() + 128);
  batch.Put(records_, Key(parts.front()), value);
  batch.Put(ids_, Key(parts.front()), ids);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    batch.Delete(records_, Key(parts[i]));
    batch.Delete(ids_, Key(parts[i]));
  }
  // Synced too, so that one rewrite is durable before the next, which may lean on it, is written: what a power cut
  // leaves of an unsynced log may have holes, and RocksDB reads past a hole of zeroes in silence.
  rocksdb::WriteOptions options;
  options.sync = true;
  const rocksdb::Status status = db_->Write(options, &batch);
  if (Status health = env_->health(); !health.ok()) return health;
  if (status.ok()) return ok_status();
  return failed("the store in " + directory_ + " cannot rewrite batch " + std::to_string(parts.front()), status);
}

Status Disk::reclaim(std::uint64_t first, std::uint64_t last) {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  const Key begin(first);
  const Key end(last);
  const rocksdb::Slice from = begin;
  const rocksdb::Slice to = end;
  for (rocksdb::ColumnFamilyHandle* family : {records_, ids_}) {
    const auto status = db_->CompactRange(options, family, &from, &to);
    if (Status health = env_->health(); !health.ok()) return health;
    if (!status.ok()) {
      return failed("the store in " + directory_ + " cannot be compacted", status);
    }
  }
  return ok_status();
}

Status Disk::drop_before(std::uint64_t first, std::uint64_t last_durable) {
  RC_ASSERT(first >= mark_.first && first <= last_durable + 1);
  // Said before it is done: files may then go one by one.
  mark_.first = first;
  mark_.at_least = last_durable;
  if (Status written = write_mark(); !written.ok()) return written;
  const Key begin(0);
  const Key end(first);
  const rocksdb::Slice from = begin;
  const rocksdb::Slice to = end;
  for (rocksdb::ColumnFamilyHandle* family : {records_, ids_}) {
    if (const auto status = rocksdb::DeleteFilesInRange(db_.get(), family, &from, &to, false); !status.ok()) {
      return failed("the store in " + directory_ + " cannot drop files", status);
    }
  }
  return env_->health();
}

Status Disk::note_flushed(std::uint64_t last_durable) {
  const std::uint64_t flushes = flushes_->load();
  if (flushes == flushes_noted_) return env_->health();
  flushes_noted_ = flushes;
  mark_.at_least = last_durable;
  return write_mark();
}

Result<std::shared_ptr<Segment>> Disk::read(std::uint64_t batch) {
  Scan found = scan(Family::Records, batch, batch);
  Result<std::shared_ptr<Segment>> segment = found.next();
  if (segment.ok() && segment.value() == nullptr) {
    return Error{ErrorCode::NotFound, "the store in " + directory_ + " has no batch " + std::to_string(batch)};
  }
  return segment;
}

Disk::Scan Disk::scan(Family family, std::uint64_t from, std::uint64_t last) {
  Scan out;
  out.disk_ = this;
  out.family_ = family == Family::Records ? kRecordsFamily : kIdsFamily;
  out.expected_ = from;
  out.last_ = last;
  if (from > last) return out;
  rocksdb::ReadOptions options;
  options.fill_cache = from == last;
  if (from != last) options.readahead_size = kReadAhead;
  out.at_.reset(db_->NewIterator(options, family == Family::Records ? records_ : ids_));
  out.at_->SeekForPrev(Key(from));
  if (!out.at_->Valid() && out.at_->status().ok()) out.at_->SeekToFirst();
  return out;
}

Result<std::shared_ptr<Segment>> Disk::Scan::next() {
  if (expected_ > last_) return std::shared_ptr<Segment>();
  const std::string& directory = disk_->directory_;
  if (!at_->Valid()) {
    if (!at_->status().ok())
      return damaged_batch(directory, family_, expected_, "cannot be read: " + at_->status().ToString());
    return damaged_batch(directory, family_, expected_, "is missing, and the last is " + std::to_string(last_));
  }
  const std::uint64_t key = read_key(at_->key()).value_or(0);
  std::string value = at_->value().ToString();
  const Result<Header> header = check(value, disk_->mark_.salt);
  if (!header.ok()) return damaged_batch(directory, family_, key, header.error().detail);
  const Header& found = header.value();
  if (found.first != key || found.last < key) {
    return damaged_batch(directory, family_, key, "says that it is batch " + std::to_string(found.first));
  }
  // The first one may begin before what is asked for; each later one follows.
  if (found.first > expected_ || found.last < expected_) {
    return damaged_batch(directory, family_, expected_, "is missing, batch " + std::to_string(key) + " is there");
  }
  expected_ = found.last + 1;
  if (expected_ <= last_) at_->Next();
  return std::make_shared<Segment>(std::move(value), found);
}

}  // namespace retire::store
