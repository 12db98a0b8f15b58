#include "worker/probe/data_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "common/model/task.hpp"
#include "common/sensors/files.hpp"

namespace retire::probe {
namespace {

using sensors::read_small_file;

constexpr const char* kIdFile = "device_id";
constexpr const char* kLockFile = "worker.lock";

Error wrong(const std::filesystem::path& path, const std::string& why) {
  return {ErrorCode::Configuration, path.string() + ": " + why};
}

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

Result<DataDirLock> DataDirLock::take(const std::filesystem::path& directory) {
  std::error_code failed;
  if (!std::filesystem::exists(directory, failed)) {
    std::filesystem::create_directories(directory, failed);
    if (failed) return wrong(directory, "cannot be made: " + failed.message() + "; choose another with --data-dir");
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, failed);
  }
  const std::filesystem::path file = directory / kLockFile;
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    return wrong(file, std::string(std::strerror(errno)) + "; choose another directory with --data-dir");
  }
  if (flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    close(descriptor);
    if (reason != EWOULDBLOCK) return wrong(file, std::string("cannot be locked: ") + std::strerror(reason));
    return wrong(directory, "another worker uses this data directory; give this one its own with --data-dir DIR");
  }
  return DataDirLock(descriptor);
}

DataDirLock::DataDirLock(DataDirLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
DataDirLock::~DataDirLock() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string kept_device_id(const std::filesystem::path& directory) {
  const auto text = read_small_file(directory / kIdFile);
  return text ? trimmed(*text) : "";
}

Result<std::string> keep_device_id(const std::filesystem::path& directory, const std::string& made) {
  const std::filesystem::path file = directory / kIdFile;
  std::error_code failed;
  if (std::filesystem::exists(file, failed)) {
    const std::string kept = kept_device_id(directory);
    if (!is_device_id(kept)) return wrong(file, "holds no device ID; correct it, remove it, or give --device-id");
    return kept;
  }
  // Written beside it and renamed, so that a crash never leaves half a name.
  const std::filesystem::path draft = directory / "device_id.new";
  const int descriptor = open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const std::string line = made + "\n";
  bool written = descriptor >= 0 && write(descriptor, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  written = written && fsync(descriptor) == 0;
  const int reason = errno;
  if (descriptor >= 0) close(descriptor);
  if (!written) return wrong(draft, std::string("cannot be written: ") + std::strerror(reason));
  std::filesystem::rename(draft, file, failed);
  if (failed) return wrong(file, "cannot be written: " + failed.message());
  return made;
}

}  // namespace retire::probe
