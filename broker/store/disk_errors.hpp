// How the disk's files name what is wrong.
#pragma once

#include <rocksdb/status.h>

#include <cstdint>
#include <string>

#include "common/base/result.hpp"

namespace retire::store {

constexpr char kRecordsFamily[] = "records";
constexpr char kIdsFamily[] = "ids";

inline Error failed(const std::string& what, const rocksdb::Status& status) {
  return {ErrorCode::StorageFailed, what + ": " + status.ToString()};
}

inline Error damaged(const std::string& directory, const std::string& what) {
  return {ErrorCode::StorageFailed, "the store in " + directory + " is damaged: " + what +
                                        "; look at it with \"retire-cluster store verify\" and restore a backup"};
}

inline Error damaged_batch(const std::string& directory, const char* family, std::uint64_t batch,
                           const std::string& what) {
  return damaged(directory, "batch " + std::to_string(batch) + " in column family " + family + " " + what);
}

}  // namespace retire::store
