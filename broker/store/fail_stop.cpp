#include "broker/store/fail_stop.hpp"

#include <utility>

namespace retire::store {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

// Does it, or nothing once something has failed. What is only not there or not supported is an answer, no failure.
template <class Call>
IOStatus guarded(FirstFailure& failure, const std::string& path, const char* what, const Call& call) {
  if (failure.happened()) return IOStatus::OK();
  IOStatus status = call();
  if (status.ok() || status.IsNotFound() || status.IsPathNotFound() || status.IsNotSupported()) return status;
  failure.note(std::string("cannot ") + what + " " + path + ": " + status.ToString());
  return IOStatus::OK();
}

class FailStopFile final : public rocksdb::FSWritableFile {
 public:
  // `target`: nullptr if it was made after the failure; it is nowhere then.
  FailStopFile(std::unique_ptr<rocksdb::FSWritableFile> target, const FileOptions& options, std::string path,
               std::shared_ptr<FirstFailure> failure)
      : rocksdb::FSWritableFile(options),
        target_(std::move(target)),
        path_(std::move(path)),
        failure_(std::move(failure)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    return run("write", [&] { return target_->Append(data, options, debug); });
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo& info,
                  IODebugContext* debug) override {
    return run("write", [&] { return target_->Append(data, options, info, debug); });
  }
  IOStatus Truncate(std::uint64_t size, const IOOptions& options, IODebugContext* debug) override {
    return run("cut", [&] { return target_->Truncate(size, options, debug); });
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return run("close", [&] { return target_->Close(options, debug); });
  }
  IOStatus Flush(const IOOptions& options, IODebugContext* debug) override {
    return run("write", [&] { return target_->Flush(options, debug); });
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    return run("fsync", [&] { return target_->Sync(options, debug); });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return run("fsync", [&] { return target_->Fsync(options, debug); });
  }
  IOStatus RangeSync(std::uint64_t offset, std::uint64_t bytes, const IOOptions& options,
                     IODebugContext* debug) override {
    return run("fsync", [&] { return target_->RangeSync(offset, bytes, options, debug); });
  }
  // Room asked for ahead is a wish, which not every file system grants.
  IOStatus Allocate(std::uint64_t offset, std::uint64_t bytes, const IOOptions& options,
                    IODebugContext* debug) override {
    return dead() ? IOStatus::OK() : target_->Allocate(offset, bytes, options, debug);
  }
  void PrepareWrite(std::size_t offset, std::size_t bytes, const IOOptions& options, IODebugContext* debug) override {
    if (!dead()) target_->PrepareWrite(offset, bytes, options, debug);
  }
  void SetPreallocationBlockSize(std::size_t size) override {
    if (target_) target_->SetPreallocationBlockSize(size);
  }
  void GetPreallocationStatus(std::size_t* block_size, std::size_t* last_block) override {
    *block_size = *last_block = 0;
    if (target_) target_->GetPreallocationStatus(block_size, last_block);
  }
  void SetWriteLifeTimeHint(rocksdb::Env::WriteLifeTimeHint hint) override {
    if (target_) target_->SetWriteLifeTimeHint(hint);
  }
  std::uint64_t GetFileSize(const IOOptions& options, IODebugContext* debug) override {
    return target_ ? target_->GetFileSize(options, debug) : 0;
  }
  std::size_t GetUniqueId(char* id, std::size_t max) const override {
    return target_ ? target_->GetUniqueId(id, max) : 0;
  }
  IOStatus InvalidateCache(std::size_t offset, std::size_t bytes) override {
    return dead() ? IOStatus::OK() : target_->InvalidateCache(offset, bytes);
  }
  bool IsSyncThreadSafe() const override { return target_ == nullptr || target_->IsSyncThreadSafe(); }
  bool use_direct_io() const override { return target_ && target_->use_direct_io(); }
  std::size_t GetRequiredBufferAlignment() const override {
    return target_ ? target_->GetRequiredBufferAlignment() : rocksdb::FSWritableFile::GetRequiredBufferAlignment();
  }

 private:
  bool dead() const { return target_ == nullptr || failure_->happened(); }
  template <class Call>
  IOStatus run(const char* what, const Call& call) {
    return target_ == nullptr ? IOStatus::OK() : guarded(*failure_, path_, what, call);
  }

  std::unique_ptr<rocksdb::FSWritableFile> target_;
  std::string path_;
  std::shared_ptr<FirstFailure> failure_;
};

class FailStopDirectory final : public rocksdb::FSDirectory {
 public:
  FailStopDirectory(std::unique_ptr<rocksdb::FSDirectory> target, std::string path,
                    std::shared_ptr<FirstFailure> failure)
      : target_(std::move(target)), path_(std::move(path)), failure_(std::move(failure)) {}
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    if (target_ == nullptr) return IOStatus::OK();
    return guarded(*failure_, path_, "fsync", [&] { return target_->Fsync(options, debug); });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& how) override {
    if (target_ == nullptr) return IOStatus::OK();
    return guarded(*failure_, path_, "fsync", [&] { return target_->FsyncWithDirOptions(options, debug, how); });
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return target_ ? target_->Close(options, debug) : IOStatus::OK();
  }
  std::size_t GetUniqueId(char* id, std::size_t max) const override {
    return target_ ? target_->GetUniqueId(id, max) : 0;
  }

 private:
  std::unique_ptr<rocksdb::FSDirectory> target_;
  std::string path_;
  std::shared_ptr<FirstFailure> failure_;
};

}  // namespace

void FirstFailure::note(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (!happened_.load()) what_ = what;
  happened_.store(true);
}

std::string FirstFailure::what() const {
  const std::lock_guard lock(mutex_);
  return what_;
}

FailStopFileSystem::FailStopFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target, std::string directory)
    : rocksdb::FileSystemWrapper(target), directory_(std::move(directory)) {}

Status FailStopFileSystem::health() const {
  if (!failure_->happened()) return ok_status();
  return Error{ErrorCode::StorageFailed, "the store in " + directory_ + " has failed: " + failure_->what() +
                                             "; see to the disk and start main again: what was acknowledged is there"};
}

bool FailStopFileSystem::is_below(const std::string& path) const {
  return path.starts_with(directory_) && (path.size() == directory_.size() || path[directory_.size()] == '/');
}

template <class Call>
IOStatus FailStopFileSystem::change(const std::string& path, const char* what, const Call& call) {
  return is_below(path) ? guarded(*failure_, path, what, call) : call();
}

template <class Call>
IOStatus FailStopFileSystem::make_file(const std::string& path, const FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* out, const Call& call) {
  if (!is_below(path)) return call(out);
  std::unique_ptr<rocksdb::FSWritableFile> made;
  IOStatus status = guarded(*failure_, path, "make", [&] { return call(&made); });
  if (status.ok()) *out = std::make_unique<FailStopFile>(std::move(made), options, path, failure_);
  return status;
}

IOStatus FailStopFileSystem::NewWritableFile(const std::string& path, const FileOptions& options,
                                             std::unique_ptr<rocksdb::FSWritableFile>* out, IODebugContext* debug) {
  return make_file(path, options, out,
                   [&](auto* made) { return target()->NewWritableFile(path, options, made, debug); });
}

IOStatus FailStopFileSystem::ReopenWritableFile(const std::string& path, const FileOptions& options,
                                                std::unique_ptr<rocksdb::FSWritableFile>* out, IODebugContext* debug) {
  return make_file(path, options, out,
                   [&](auto* made) { return target()->ReopenWritableFile(path, options, made, debug); });
}

IOStatus FailStopFileSystem::ReuseWritableFile(const std::string& path, const std::string& old,
                                               const FileOptions& options,
                                               std::unique_ptr<rocksdb::FSWritableFile>* out, IODebugContext* debug) {
  return make_file(path, options, out,
                   [&](auto* made) { return target()->ReuseWritableFile(path, old, options, made, debug); });
}

IOStatus FailStopFileSystem::NewDirectory(const std::string& path, const IOOptions& options,
                                          std::unique_ptr<rocksdb::FSDirectory>* out, IODebugContext* debug) {
  if (!is_below(path)) return target()->NewDirectory(path, options, out, debug);
  std::unique_ptr<rocksdb::FSDirectory> made;
  IOStatus status =
      guarded(*failure_, path, "open", [&] { return target()->NewDirectory(path, options, &made, debug); });
  if (status.ok()) *out = std::make_unique<FailStopDirectory>(std::move(made), path, failure_);
  return status;
}

IOStatus FailStopFileSystem::DeleteFile(const std::string& path, const IOOptions& options, IODebugContext* debug) {
  return change(path, "remove", [&] { return target()->DeleteFile(path, options, debug); });
}

IOStatus FailStopFileSystem::RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                                        IODebugContext* debug) {
  // What CURRENT leads to must be durable before CURRENT can be. When RocksDB opens a database it makes data files of
  // its logs, names them in a new manifest and renames CURRENT, and fsyncs the directory only then: a disk that does
  // the rename and not the creations before it would leave a database that names files that are not there.
  if (is_below(to) && to.ends_with("/CURRENT")) {
    if (IOStatus status = sync_names(to.substr(0, to.rfind('/')), debug); !status.ok()) return status;
  }
  return change(to, "rename", [&] { return target()->RenameFile(from, to, options, debug); });
}

IOStatus FailStopFileSystem::sync_names(const std::string& path, IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSDirectory> names;
  if (IOStatus status = NewDirectory(path, {}, &names, debug); !status.ok()) return status;
  return names->Fsync({}, debug);
}

IOStatus FailStopFileSystem::LinkFile(const std::string& from, const std::string& to, const IOOptions& options,
                                      IODebugContext* debug) {
  return change(to, "link", [&] { return target()->LinkFile(from, to, options, debug); });
}

IOStatus FailStopFileSystem::Truncate(const std::string& path, std::size_t size, const IOOptions& options,
                                      IODebugContext* debug) {
  return change(path, "cut", [&] { return target()->Truncate(path, size, options, debug); });
}

FailStopEnv::FailStopEnv(rocksdb::Env& base, const std::string& directory)
    : FailStopEnv(base, std::make_shared<FailStopFileSystem>(base.GetFileSystem(), directory)) {}

FailStopEnv::FailStopEnv(rocksdb::Env& base, const std::shared_ptr<FailStopFileSystem>& files)
    : rocksdb::EnvWrapper(rocksdb::NewCompositeEnv(files)), files_(files) {
  file_system_ = files;
  system_clock_ = base.GetSystemClock();
}

}  // namespace retire::store
