// The directory that belongs to one main at a time.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/result.hpp"

namespace retire::service {

// Holds the directory's lock for as long as it lives.
class DataDir {
 public:
  // Makes the directory (mode 0700) if there is none. Errors: Configuration: cannot be made or written, or another main
  // uses it; names the directory and what to do.
  static Result<DataDir> open(const std::string& path);
  DataDir(DataDir&& other) noexcept;
  DataDir& operator=(DataDir&&) = delete;
  ~DataDir();

  // A number larger than every one before, made durable before it is returned: the epoch of this run of main.
  Result<std::uint64_t> next_epoch();

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
};

}  // namespace retire::service
