// A disk in memory that forgets what was not made durable, and fails when told to: RocksDB's file system, under the
// embedded engine's feet.
//
// What it remembers over a power cut: of a file, what was fsynced; of a directory, the names that were there when it
// was fsynced. Of the rest, the seed decides: a file's unsynced end may be gone, cut anywhere, or have some of its
// pages and zeroes for the others; unsynced creations, renames and deletions may have happened or not, each by itself.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/rng.hpp"

namespace retire::store {

class SimDisk final : public rocksdb::FileSystem {
 public:
  enum class Fault { None, Io, NoSpace };

  explicit SimDisk(std::uint64_t seed) : rng_(seed) {}

  // The k-th call from now on (from 1) fails, once or from then on for good; 0: none does.
  void fail_at(std::uint64_t k, Fault fault, bool sticky);
  // The power goes at the k-th call from now on; 0: it does not.
  void cut_at(std::uint64_t k);
  // The power goes now: from here on every call fails.
  void cut();
  bool is_cut() const;
  // What is left is what the disk holds; calls work again. `names`: which unsynced changes of names have happened: as
  // the seed says, or all but creations.
  enum class NamesLeft { BySeed, AllButCreations };
  void power_on(NamesLeft names = NamesLeft::BySeed);
  // fsync says that it did and does not: a disk that lies, for tests of the tests.
  void ignore_syncs() { ignore_syncs_ = true; }
  std::uint64_t calls() const;
  std::uint64_t failures() const;

  // A closed disk's files, to be spoiled and put back.
  using Files = std::map<std::string, std::string>;
  Files files() const;
  void put(const Files& files);

  void set_free_bytes(std::uint64_t bytes) { free_bytes_ = bytes; }

  const char* Name() const override { return "SimDisk"; }
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* out,
                                      rocksdb::IODebugContext*) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path, const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* out,
                                        rocksdb::IODebugContext*) override;
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* out, rocksdb::IODebugContext*) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* out,
                                       rocksdb::IODebugContext*) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* out, rocksdb::IODebugContext*) override;
  rocksdb::IOStatus FileExists(const std::string& path, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override;
  rocksdb::IOStatus GetChildren(const std::string& path, const rocksdb::IOOptions&, std::vector<std::string>* out,
                                rocksdb::IODebugContext*) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override;
  rocksdb::IOStatus CreateDir(const std::string& path, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override;
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const rocksdb::IOOptions&,
                                       rocksdb::IODebugContext*) override;
  rocksdb::IOStatus DeleteDir(const std::string& path, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override;
  rocksdb::IOStatus GetFileSize(const std::string& path, const rocksdb::IOOptions&, std::uint64_t* out,
                                rocksdb::IODebugContext*) override;
  rocksdb::IOStatus GetFileModificationTime(const std::string& path, const rocksdb::IOOptions&, std::uint64_t* out,
                                            rocksdb::IODebugContext*) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to, const rocksdb::IOOptions&,
                               rocksdb::IODebugContext*) override;
  rocksdb::IOStatus LockFile(const std::string& path, const rocksdb::IOOptions&, rocksdb::FileLock** out,
                             rocksdb::IODebugContext*) override;
  rocksdb::IOStatus UnlockFile(rocksdb::FileLock* lock, const rocksdb::IOOptions&, rocksdb::IODebugContext*) override;
  rocksdb::IOStatus GetTestDirectory(const rocksdb::IOOptions&, std::string* out, rocksdb::IODebugContext*) override;
  rocksdb::IOStatus NewLogger(const std::string& path, const rocksdb::IOOptions&, std::shared_ptr<rocksdb::Logger>* out,
                              rocksdb::IODebugContext*) override;
  rocksdb::IOStatus GetAbsolutePath(const std::string& path, const rocksdb::IOOptions&, std::string* out,
                                    rocksdb::IODebugContext*) override;
  rocksdb::IOStatus GetFreeSpace(const std::string& path, const rocksdb::IOOptions&, std::uint64_t* out,
                                 rocksdb::IODebugContext*) override;
  rocksdb::IOStatus IsDirectory(const std::string& path, const rocksdb::IOOptions&, bool* out,
                                rocksdb::IODebugContext*) override;

 private:
  friend class SimWritable;
  friend class SimReadable;
  friend class SimDirectory;

  struct Node {
    std::string data;
    std::size_t synced = 0;
    // What a failed fsync has dropped: later ones do not bring it back.
    std::vector<std::pair<std::size_t, std::size_t>> lost;
  };
  using Names = std::map<std::string, std::shared_ptr<Node>>;
  // One change of names that is not durable yet. A rename is both at once.
  struct Change {
    std::string removed;
    std::string added;
    std::shared_ptr<Node> node;
  };

  // Counts a call, and says whether it fails.
  rocksdb::IOStatus enter();
  std::shared_ptr<Node> find(const std::string& path) const;
  static void apply(const Change& change, Names& names);
  void change(Change change);
  void sync_directory(const std::string& path);
  void surviving(Node& node);

  mutable std::mutex mutex_;
  Rng rng_;
  Names names_;
  Names durable_names_;
  std::vector<Change> changes_;
  std::uint64_t calls_ = 0;
  std::uint64_t failures_ = 0;
  std::uint64_t fail_at_ = 0;
  Fault fault_ = Fault::None;
  bool sticky_ = false;
  std::uint64_t cut_at_ = 0;
  bool cut_ = false;
  bool ignore_syncs_ = false;
  std::uint64_t free_bytes_ = std::uint64_t{1} << 40;
};

}  // namespace retire::store
