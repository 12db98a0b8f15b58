// A file system below RocksDB that stops for good at its first failure.
//
// RocksDB 7.8, as Debian builds it, ends the process on an assertion when a file is used again after a write or fsync
// of it has failed, and does not look everywhere before it does; after "no space" it takes up its work again by itself,
// whatever it is set to. So RocksDB is never told. The first failure is remembered, and from then on nothing that would
// change the directory is done any more, while RocksDB hears that all went well. What the disk holds is then what a
// power cut at that moment would leave; whoever uses RocksDB asks health() after each call, before it believes the
// answer.
//
// Only changes below `directory` count: a backup that does not fit onto another disk is that backup's failure alone.
// Reading fails as ever. Threads: any.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "common/base/result.hpp"

namespace retire::store {

// The first failure; it stays.
class FirstFailure {
 public:
  bool happened() const { return happened_.load(); }
  void note(const std::string& what);
  std::string what() const;

 private:
  mutable std::mutex mutex_;
  std::string what_;
  std::atomic<bool> happened_ = false;
};

class FailStopFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  FailStopFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target, std::string directory);

  // Errors: StorageFailed, naming the call that failed, the file and the reason.
  Status health() const;

  const char* Name() const override { return "FailStopFileSystem"; }
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* out,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* out,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* out,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* out, rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus Truncate(const std::string& path, std::size_t size, const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;

 private:
  bool is_below(const std::string& path) const;
  template <class Call>
  rocksdb::IOStatus change(const std::string& path, const char* what, const Call& call);
  template <class Call>
  rocksdb::IOStatus make_file(const std::string& path, const rocksdb::FileOptions& options,
                              std::unique_ptr<rocksdb::FSWritableFile>* out, const Call& call);
  rocksdb::IOStatus sync_names(const std::string& path, rocksdb::IODebugContext* debug);

  std::string directory_;
  std::shared_ptr<FirstFailure> failure_ = std::make_shared<FirstFailure>();
};

// The environment that a database in `directory` lives in; `base` must outlive it.
class FailStopEnv final : public rocksdb::EnvWrapper {
 public:
  FailStopEnv(rocksdb::Env& base, const std::string& directory);
  const char* Name() const override { return "FailStopEnv"; }
  Status health() const { return files_->health(); }

 private:
  FailStopEnv(rocksdb::Env& base, const std::shared_ptr<FailStopFileSystem>& files);
  std::shared_ptr<FailStopFileSystem> files_;
};

}  // namespace retire::store
