// Results on disk until main has acknowledged them: one append-only file in the worker's data directory.
//
//   file    = "RCOUTBX1", then records
//   record  = crc32c u32 (of all that follows) · length u32 · id u64 · kind u32 (1 kept, 2 gone) · `length` bytes
//
// Numbers are little-endian. A record is whole or it is not there: at the first that does not read right the file ends,
// which is how a power cut in the midst of a write looks. A result that is lost so was never promised: main gives the
// task to another. `gone` records are not forced to the disk; what they say is found out from main anyhow.
//
// Threads: one. Blocking: save() waits for the disk. The directory is locked by its worker (probe::DataDirLock).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/model/task.hpp"

namespace retire::worker {

class OutboxFile {
 public:
  struct Record {
    std::uint64_t id = 0;
    ByteView bytes;
  };
  struct Found {
    std::vector<std::pair<std::uint64_t, std::string>> records;  // kept and not gone, oldest first
    std::uint64_t dropped_bytes = 0;                             // of a torn or damaged end
    std::string set_aside;  // where a file lies now that was none of ours; empty: there was none
  };
  struct Options {
    std::uint64_t bytes_max = std::uint64_t{256} << 20;  // of the file
    int (*sync)(int descriptor) = nullptr;               // in place of fdatasync(); for tests
  };

  // Reads what is there and writes it anew if any of it is dead. Errors: Io, naming the file and the reason.
  static Result<OutboxFile> open(const std::filesystem::path& file, Options options, Found& found);
  OutboxFile(OutboxFile&& other) noexcept;
  OutboxFile(const OutboxFile&) = delete;
  OutboxFile& operator=(const OutboxFile&) = delete;
  OutboxFile& operator=(OutboxFile&&) = delete;
  ~OutboxFile();

  // All of them, on the disk when this returns; or none. IDs must be new. Errors: TooLarge (no room below bytes_max),
  // Io (the disk is full, or will not write). After a failed sync every later save fails: what the kernel then still
  // has in memory cannot be known.
  Status save(const std::vector<Record>& records);
  // Main has it. What is not there is ignored.
  void remove(std::uint64_t id);

  std::size_t count() const { return live_.size(); }
  std::uint64_t file_bytes() const { return end_; }
  // Larger than every ID in the file.
  std::uint64_t next_id() const { return next_id_; }

 private:
  struct Place {
    std::uint64_t offset = 0;  // of the record
    std::uint64_t bytes = 0;   // all of it
  };

  OutboxFile(std::filesystem::path file, Options options) : path_(std::move(file)), options_(options) {}
  Status read(Found& found);
  Status rewrite();
  Status append(const std::string& bytes);
  Error failed(const std::string& what, int reason) const;

  std::filesystem::path path_;
  Options options_;
  int descriptor_ = -1;
  std::uint64_t end_ = 0;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, Place> live_;
  std::string broken_;  // why nothing is saved any more
};

}  // namespace retire::worker
