// The embedded engine's hold on the disk: a RocksDB database of two column families and a small file beside it that
// says what must be in there. The only files of the broker that know RocksDB. docs/storage.md has the layout and the
// reasons.
#pragma once

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/store/batch.hpp"
#include "broker/store/fail_stop.hpp"
#include "common/base/result.hpp"

namespace retire::store {

// The file MARK: what must be there. Written beside and renamed, both made durable.
struct Mark {
  enum class State : std::uint32_t { Creating = 1, Open = 2, Clean = 3 };
  std::uint32_t schema = 0;
  State state = State::Creating;
  std::uint64_t salt = 0;
  std::uint64_t first = 1;     // batches before it are not needed any more, whether they are still there or not
  std::uint64_t at_least = 0;  // the last batch (clean), or one that is known to be durable (open)
};
// 1: as it began; 2: with settings.
constexpr std::uint32_t kSchema = 2;

Result<std::optional<Mark>> read_mark(rocksdb::Env& env, const std::string& directory);
Status write_mark(rocksdb::Env& env, const std::string& directory, const Mark& mark);

// The highest number of a batch whose header lies in the write-ahead logs, as bytes on the disk; 0 if there is none.
// Reads past damage, which is what it is for.
Result<std::uint64_t> highest_in_logs(rocksdb::Env& env, const std::string& directory, std::uint64_t salt);

class Disk {
 public:
  static constexpr std::size_t kMemtableBytes = std::size_t{64} << 20;
  struct Found {
    bool fresh = true;
    bool clean = true;
    std::uint64_t last = 0;    // batch
    std::uint64_t lowest = 1;  // first batch with a task that may be unfinished
    std::uint64_t dropped_batches = 0;
    std::string settings;  // the last ones
  };
  // Makes the store if there is none. `env` must outlive it. Errors: Configuration, StorageFailed.
  // `memtable_bytes`: how much of the records is gathered in memory before it becomes a data file.
  static Result<std::unique_ptr<Disk>> open(const std::string& directory, rocksdb::Env& env,
                                            std::size_t memtable_bytes = kMemtableBytes);
  // Without changing anything; for a look at a store that nobody has open.
  static Result<std::unique_ptr<Disk>> open_read_only(const std::string& directory, rocksdb::Env& env);
  ~Disk();
  Disk(const Disk&) = delete;

  const Found& found() const { return found_; }
  std::uint64_t salt() const { return mark_.salt; }
  std::uint64_t first() const { return mark_.first; }
  // Whether every change has gone well so far; what RocksDB answers is worth nothing otherwise. Errors: StorageFailed.
  Status health() const { return env_->health(); }

  // One batch, durable when it returns. `settings`: sealed, in place of those before; empty: those before stay.
  // From one thread.
  Status write(std::uint64_t number, std::string_view value, std::string_view ids, std::string_view settings);
  // One value in place of several: `parts` are their first batches. Durable when it returns.
  Status replace(const std::vector<std::uint64_t>& parts, std::string_view value, std::string_view ids);
  // What lies between gives its space back.
  Status reclaim(std::uint64_t first, std::uint64_t last);
  // Batches before it are given up.
  Status drop_before(std::uint64_t first, std::uint64_t last_durable);
  // Says in the mark what has left the log for data files, if that has happened since.
  Status note_flushed(std::uint64_t last_durable);

  // The segment that holds this batch, checked. Errors: StorageFailed, NotFound.
  Result<std::shared_ptr<Segment>> read(std::uint64_t batch);

  // Steps through the values of one column family from the segment that holds `from` on; checked, and each must follow
  // the one before.
  class Scan {
   public:
    // Nullptr at the end. Errors: StorageFailed, naming column family and batch.
    Result<std::shared_ptr<Segment>> next();

   private:
    friend class Disk;
    Disk* disk_ = nullptr;
    const char* family_ = nullptr;
    std::unique_ptr<rocksdb::Iterator> at_;
    std::uint64_t expected_ = 0;  // 0: any
    std::uint64_t last_ = 0;
  };
  enum class Family { Records, Ids };
  Scan scan(Family family, std::uint64_t from, std::uint64_t last);

  // Held by whoever drops or rewrites batches, so that a backup or a scan of all of them sees what the mark says.
  std::mutex& structure() { return structure_; }

  // Hard links and a little copying, into `directory`, which must not be there; looks as after an orderly end. With
  // structure() held. Errors: Io: it is not there or is of no use, and can be removed.
  Status checkpoint(const std::string& directory);
  // Reads every byte. Returns how many records there are. Takes structure() for a moment. `stop` ends it early when it
  // becomes true; may be nullptr.
  Result<std::uint64_t> verify(std::uint64_t last, const std::atomic<bool>* stop);
  Status compact(std::atomic<bool>* stop);

  std::uint64_t used_bytes() const;
  std::uint64_t log_bytes() const;  // of them, in write-ahead logs
  std::uint64_t free_bytes() const;
  // In memory and in logs, not in data files yet.
  std::uint64_t unflushed_bytes() const;

  // Everything into data files, and the mark of an orderly end at `last`.
  Status close(std::uint64_t last);

 private:
  Disk(std::string directory, rocksdb::Env& base)
      : directory_(std::move(directory)), base_(base), env_(std::make_shared<FailStopEnv>(base, directory_)) {}
  Status open_database(bool read_only);
  Status look(std::uint64_t& last, std::uint64_t& lowest);
  Status check_tail();
  Status read_settings();
  Status write_mark();
  void close_database();
  Result<std::uint64_t> count_records(Scan& all, const std::atomic<bool>* stop);
  std::uint64_t bytes_of(std::string_view suffix) const;

  std::string directory_;
  rocksdb::Env& base_;
  std::shared_ptr<FailStopEnv> env_;  // RocksDB's: after each call, its health decides
  std::size_t memtable_bytes_ = kMemtableBytes;
  std::mutex structure_;
  Mark mark_;  // under structure_ while several threads use this
  Found found_;
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::ColumnFamilyHandle* records_ = nullptr;
  rocksdb::ColumnFamilyHandle* ids_ = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::shared_ptr<std::atomic<std::uint64_t>> flushes_ = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::uint64_t flushes_noted_ = 0;
  rocksdb::WriteBatch write_batch_;  // of write(): keeps its memory
  std::shared_ptr<std::atomic<bool>> failed_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace retire::store
