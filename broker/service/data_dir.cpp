#include "broker/service/data_dir.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "common/base/failpoint.hpp"

namespace retire::service {
namespace {

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

Result<std::uint64_t> DataDir::next_epoch() {
  const std::string file = path_ + "/epoch";
  std::uint64_t epoch = 0;
  if (std::ifstream in(file); in && !(in >> epoch)) {
    return Error{ErrorCode::Configuration,
                 file + " does not hold a number; remove it only if no worker of this main runs"};
  }
  ++epoch;
  // Written beside and renamed, and both made durable: a power cut leaves the old number or the new one.
  const std::string text = std::to_string(epoch) + "\n";
  const std::string fresh = file + ".new";
  const int out = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written =
      out >= 0 && ::write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(out) == 0;
  if (out >= 0) ::close(out);
  failpoint(Failpoint::EpochDue);
  if (!written || ::rename(fresh.c_str(), file.c_str()) != 0) {
    return refused(path_, std::string("cannot be written: ") + std::strerror(errno));
  }
  if (const int directory = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); directory >= 0) {
    ::fsync(directory);
    ::close(directory);
  }
  return epoch;
}

}  // namespace retire::service
