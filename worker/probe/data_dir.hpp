// The worker's own directory: one worker at a time, and the device ID it keeps.
#pragma once

#include <filesystem>
#include <string>

#include "common/base/result.hpp"

namespace retire::probe {

// Holds the directory for this process until it goes. The lock is the kernel's, so a killed worker leaves none behind.
class DataDirLock {
 public:
  // Makes the directory (mode 0700) if need be. Errors: Configuration, naming the directory and what to do: in use, or
  // it cannot be made or written.
  static Result<DataDirLock> take(const std::filesystem::path& directory);
  DataDirLock(DataDirLock&& other) noexcept;
  DataDirLock& operator=(DataDirLock&&) = delete;
  ~DataDirLock();

 private:
  explicit DataDirLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

// The device ID that is kept in the directory; else `made` is written there and returned. Precondition: locked.
// Errors: Configuration when the file cannot be read or written, or holds no device ID.
Result<std::string> keep_device_id(const std::filesystem::path& directory, const std::string& made);
// The one that is kept, empty if there is none.
std::string kept_device_id(const std::filesystem::path& directory);

}  // namespace retire::probe
