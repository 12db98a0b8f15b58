#include "broker/store/backup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "broker/store/epoch_file.hpp"

namespace retire::store {
namespace {

namespace fs = std::filesystem;

// What the copy needs beyond files that are linked: the manifest, and some room for whoever else uses the disk.
constexpr std::uint64_t kRoomBytes = std::uint64_t{16} << 20;

Error refused(const std::string& target, const std::string& what) {
  return {ErrorCode::Io, "no backup is made in " + target + ": " + what};
}

Status sync_directory(const std::string& path) {
  const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool synced = directory >= 0 && ::fsync(directory) == 0;
  const int error = errno;
  if (directory >= 0) ::close(directory);
  if (!synced) return Error{ErrorCode::Io, path + " cannot be fsynced: " + std::strerror(error)};
  return ok_status();
}

// Whether the files of `from` can be linked into `parent`, rather than copied: both are on one file system.
bool is_one_disk(const std::string& from, const std::string& parent) {
  struct stat one {};
  struct stat other {};
  return ::stat(from.c_str(), &one) == 0 && ::stat(parent.c_str(), &other) == 0 && one.st_dev == other.st_dev;
}

Status check_target(const Disk& disk, const std::string& data_dir, const std::string& target) {
  std::error_code error;
  const fs::path path(target);
  if (!path.is_absolute()) return refused(target, "the name must begin with /");
  if (target.find('\n') != std::string::npos) return refused(target, "the name has a line break");
  if (fs::symlink_status(path, error).type() != fs::file_type::not_found) {
    return refused(target, "it is there already; give a name that is not");
  }
  const fs::path parent = path.parent_path();
  if (!fs::is_directory(parent, error)) return refused(target, parent.string() + " is no directory; make it first");
  const fs::path real = fs::weakly_canonical(parent, error);
  const fs::path store = fs::weakly_canonical(data_dir + "/store", error);
  if (const auto [end, rest] = std::mismatch(store.begin(), store.end(), real.begin(), real.end());
      end == store.end()) {
    return refused(target, "it would lie in the store itself");
  }
  const std::uint64_t used = disk.used_bytes();
  const std::uint64_t needed = kRoomBytes + (is_one_disk(store, real) ? disk.log_bytes() : used);
  const fs::space_info space = fs::space(parent, error);
  if (!error && space.available < needed) {
    return refused(target, "it needs " + std::to_string((needed >> 20) + 1) + " MiB, and " +
                               std::to_string(space.available >> 20) + " are free there; free some, or choose another");
  }
  return ok_status();
}

Result<Backup> fill(Disk& disk, const std::string& data_dir, const std::string& partial) {
  const Result<std::uint64_t> epoch = read_epoch(data_dir);
  if (!epoch.ok()) return epoch.error();
  Backup out;
  out.epoch = epoch.value() + kBackupEpochs;
  if (const Status copied = disk.checkpoint(partial + "/store"); !copied.ok()) return copied.error();
  if (const Status written = write_epoch(partial, out.epoch); !written.ok()) return written.error();
  std::error_code error;
  for (const fs::directory_entry& file : fs::directory_iterator(partial + "/store", error)) {
    const std::uint64_t size = file.file_size(error);
    if (!error) out.bytes += size;
  }
  return out;
}

}  // namespace

Result<Backup> make_backup(Disk& disk, const std::string& data_dir, const std::string& target) {
  if (const Status checked = check_target(disk, data_dir, target); !checked.ok()) return checked.error();
  const std::string partial = target + ".partial";
  if (::mkdir(partial.c_str(), 0700) != 0) {
    if (errno == EEXIST) {
      return refused(target, partial + " is there: a backup is being made, or was interrupted and can be removed");
    }
    return refused(target, partial + " cannot be made: " + std::strerror(errno));
  }
  Result<Backup> made = fill(disk, data_dir, partial);
  Status moved = ok_status();
  if (made.ok() && ::rename(partial.c_str(), target.c_str()) != 0) {
    moved = refused(target, std::string("it cannot be renamed from ") + partial + ": " + std::strerror(errno));
  }
  if (made.ok() && moved.ok()) moved = sync_directory(fs::path(target).parent_path());
  if (made.ok() && moved.ok()) return made;
  std::error_code ignored;
  fs::remove_all(partial, ignored);
  return made.ok() ? moved.error()
                   : Error{made.error().code, "no backup is made in " + target + ": " + made.error().detail};
}

}  // namespace retire::store
