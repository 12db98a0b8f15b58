#include "broker/service/data_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "broker/store/epoch_file.hpp"
#include "common/base/ids.hpp"

namespace retire::service {
namespace {

constexpr std::uint64_t kEpochMax = (std::uint64_t{1} << (64 - kAttemptCounterBits)) - 1;

Error refused(const std::string& path, const std::string& what) {
  return {ErrorCode::Configuration, "data directory " + path + " " + what + "; choose another with --data-dir"};
}

}  // namespace

Result<DataDir> DataDir::open(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return refused(path, std::string("cannot be made: ") + std::strerror(errno));
  }
  const std::string file = path + "/main.lock";
  const int lock = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return refused(path, std::string("cannot be written: ") + std::strerror(errno));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return refused(path, "is in use by another retire-cluster-main");
  }
  return DataDir(path, lock);
}

DataDir::DataDir(DataDir&& other) noexcept : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataDir::~DataDir() {
  if (lock_ >= 0) ::close(lock_);
}

DataDir::Use::Use(Use&& other) noexcept : lock_(std::exchange(other.lock_, -1)), running_(other.running_) {}

DataDir::Use::~Use() {
  if (lock_ >= 0) ::close(lock_);
}

Result<DataDir::Use> DataDir::use(const std::string& path) {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return refused(path, std::string("cannot be read: ") + std::strerror(errno));
  ::close(directory);
  const int lock = ::open((path + "/main.lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (lock < 0 && errno == ENOENT) return Use(-1, false);  // no main was ever started on it: a backup
  if (lock < 0) return refused(path, std::string("cannot be read: ") + std::strerror(errno));
  return Use(lock, ::flock(lock, LOCK_EX | LOCK_NB) != 0);
}

Result<std::uint64_t> DataDir::next_epoch() {
  const Result<std::uint64_t> last = store::read_epoch(path_);
  if (!last.ok()) return last.error();
  const std::uint64_t epoch = last.value() + 1;
  if (epoch > kEpochMax) {
    return Error{ErrorCode::Configuration, path_ + "/epoch says that main was started " + std::to_string(last.value()) +
                                               " times, more often than attempts can be told apart; begin a new one "
                                               "with --data-dir"};
  }
  if (const Status written = store::write_epoch(path_, epoch); !written.ok()) {
    return Error{ErrorCode::Configuration, written.error().detail + "; choose another with --data-dir"};
  }
  return epoch;
}

}  // namespace retire::service
