// A copy of a store that a main can be started on.
#pragma once

#include <cstdint>
#include <string>

#include "broker/store/disk.hpp"
#include "common/base/result.hpp"

namespace retire::store {

struct Backup {
  std::uint64_t bytes = 0;  // of the copy, most of them shared with the store where the file system has hard links
  std::uint64_t epoch = 0;  // of the last run before the first one on the copy
};

// Makes `target`, which must not be there, a data directory: the store as it is now, and an epoch so far ahead that a
// main on the copy uses no attempt number that this one will use. All of it is made beside, as `target`.partial, and
// renamed when it is durable. `data_dir` is the parent of the disk's directory. While the store is in use, the caller
// holds disk.structure(). Errors: Io: naming what is in the way, or how much room is missing; StorageFailed.
Result<Backup> make_backup(Disk& disk, const std::string& data_dir, const std::string& target);

}  // namespace retire::store
