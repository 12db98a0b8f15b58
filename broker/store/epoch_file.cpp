#include "broker/store/epoch_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "common/base/failpoint.hpp"

namespace retire::store {

Result<std::uint64_t> read_epoch(const std::string& data_dir) {
  const std::string file = data_dir + "/epoch";
  std::uint64_t epoch = 0;
  if (std::ifstream in(file); in && !(in >> epoch)) {
    return Error{ErrorCode::Configuration,
                 file + " does not hold a number; remove it only if no worker of this main runs"};
  }
  return epoch;
}

Status write_epoch(const std::string& data_dir, std::uint64_t epoch) {
  const std::string file = data_dir + "/epoch";
  const auto failed = [&] { return Error{ErrorCode::Io, file + " cannot be written: " + std::strerror(errno)}; };
  const std::string text = std::to_string(epoch) + "\n";
  const std::string fresh = file + ".new";
  const int out = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out < 0) return failed();
  const bool written = ::write(out, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(out) == 0;
  if (!written) {
    const Error error = failed();
    ::close(out);
    return error;
  }
  ::close(out);
  failpoint(Failpoint::EpochDue);
  if (::rename(fresh.c_str(), file.c_str()) != 0) return failed();
  const int directory = ::open(data_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return failed();
  const bool synced = ::fsync(directory) == 0;
  const Error error = failed();
  ::close(directory);
  if (!synced) return error;
  return ok_status();
}

}  // namespace retire::store
