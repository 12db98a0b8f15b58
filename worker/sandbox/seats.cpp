#include "worker/sandbox/seats.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "worker/sandbox/scratch.hpp"

namespace retire::sandbox {
namespace {

// Users that no distribution gives to anybody: above what containers map and below what systemd-nspawn takes. Where
// only the first 65,536 exist (a container), what is left free below the end of them.
constexpr uid_t kFirstUser = 76'800;
constexpr uid_t kFirstUserMapped = 65'024;
constexpr uid_t kUsersMax = 4096;
constexpr uid_t kUsersMappedMax = 480;

const std::string kRootPrefix = "retire-cluster-scratch-";

bool is_mapped(uid_t user) {
  std::ifstream map("/proc/self/uid_map");
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  while (map >> inside >> outside >> count) {
    if (user >= inside && user - inside < count) return true;
  }
  return false;
}

bool is_somebodys(uid_t user) {
  std::array<char, 4096> text{};
  passwd entry{};
  passwd* found = nullptr;
  return getpwuid_r(user, &entry, text.data(), text.size(), &found) == 0 && found != nullptr;
}

// Where workers on this machine tell each other which users are taken: nobody but root may reach it, or a handler could
// take them all. The same for all workers, whatever their TMPDIR.
constexpr const char* kLocksIn[] = {"/run", "/tmp"};

// Errors: Io, Configuration when somebody else has made it.
Result<std::string> make_lock_directory() {
  std::string path;
  int reason = 0;
  for (const char* in : kLocksIn) {
    path = std::string(in) + "/retire-cluster-users";
    if (mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) {
      struct stat info {};
      if (lstat(path.c_str(), &info) != 0) return Error{ErrorCode::Io, path + ": " + std::strerror(errno)};
      if (S_ISDIR(info.st_mode) && info.st_uid == 0 && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0) return path;
      return Error{ErrorCode::Configuration, path + ": is not a directory that only root may write to; remove it"};
    }
    reason = errno;
  }
  return Error{ErrorCode::Io, path + ": " + std::strerror(reason)};
}

// The descriptor that holds the user, also for a supervisor that outlives us; -1 when another worker has it.
int hold(const std::string& directory, uid_t user) {
  const std::string file = directory + '/' + std::to_string(user);
  const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return -1;
  if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) return descriptor;
  close(descriptor);
  return -1;
}

}  // namespace

std::uint64_t tasks_of(uid_t user) {
  DIR* directory = opendir("/proc");
  if (directory == nullptr) return 0;
  std::uint64_t count = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const std::string tasks = std::string("/proc/") + entry->d_name + "/task";
    struct stat info {};
    if (stat(tasks.c_str(), &info) != 0 || info.st_uid != user) continue;
    count += info.st_nlink > 2 ? info.st_nlink - 2 : 1;
  }
  closedir(directory);
  return count;
}

Seat::~Seat() {
  if (!seats_) return;
  const std::lock_guard<std::mutex> lock(seats_->mutex_);
  seats_->places_[index_].taken = false;
}

std::shared_ptr<Seats> Seats::make(SeatsConfig config) { return std::shared_ptr<Seats>(new Seats(std::move(config))); }

Seats::Seats(SeatsConfig config)
    : config_(std::move(config)), next_user_(is_mapped(kFirstUser) ? kFirstUser : kFirstUserMapped) {}

Seats::~Seats() {
  for (const Place& place : places_) {
    if (place.lock >= 0) close(place.lock);
  }
  if (!root_.empty()) remove_directory(root_);
  if (root_lock_ >= 0) close(root_lock_);
}

Status Seats::find_user(Place& place) {
  const uid_t end = next_user_ >= kFirstUser ? kFirstUser + kUsersMax : kFirstUserMapped + kUsersMappedMax;
  const Result<std::string> locks = make_lock_directory();
  if (!locks.ok()) return locks.error();
  for (; next_user_ < end; ++next_user_) {
    if (!is_mapped(next_user_) || is_somebodys(next_user_)) continue;
    const int lock = hold(locks.value(), next_user_);
    if (lock < 0) continue;
    if (tasks_of(next_user_) > 0) {
      close(lock);
      continue;
    }
    place.user = next_user_++;
    place.lock = lock;
    return ok_status();
  }
  return Error{ErrorCode::Configuration,
               "no unprivileged user is free for handlers; name one with --run-as USER, or give --sandbox off"};
}

// Those of workers that were killed while they had no host to take them along.
void Seats::remove_stale() const {
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(config_.temporary, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string path = entry->path();
    if (!entry->path().filename().string().starts_with(kRootPrefix)) continue;
    const int directory = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0) continue;
    struct stat info {};
    if (fstat(directory, &info) == 0 && info.st_uid == geteuid() && flock(directory, LOCK_EX | LOCK_NB) == 0) {
      remove_directory(path);
    }
    close(directory);
  }
}

Status Seats::make_root() {
  remove_stale();
  for (int i = 0; i < 10; ++i) {
    std::string root = config_.temporary + "/" + kRootPrefix + "XXXXXX";
    if (mkdtemp(root.data()) == nullptr) break;
    root_lock_ = open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // Another worker that is just starting may have taken it for stale: then it is gone, or will be.
    if (root_lock_ < 0 || flock(root_lock_, LOCK_EX | LOCK_NB) != 0 || access(root.c_str(), F_OK) != 0) {
      if (root_lock_ >= 0) close(std::exchange(root_lock_, -1));
      continue;
    }
    chmod(root.c_str(), 0711);  // others may reach what they know the name of, and list nothing
    root_ = root;
    return ok_status();
  }
  return Error{ErrorCode::Io, "no scratch directory can be made in " + config_.temporary + ": " + std::strerror(errno) +
                                  "; name another place with TMPDIR"};
}

Result<Seat> Seats::take(const Terms& terms) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (root_.empty()) {
    if (Status made = make_root(); !made.ok()) return made.error();
  }
  std::size_t index = 0;
  while (index < places_.size() && places_[index].taken) ++index;
  if (index == places_.size()) places_.emplace_back();
  Place& place = places_[index];

  Policy policy;
  policy.level = config_.level;
  policy.limits = tighter(config_.limits, terms.limits);
  policy.writable = config_.writable;
  policy.filter = config_.filter;
  policy.network = config_.level != Level::Strict || terms.network;
  policy.subprocess = config_.level != Level::Strict || terms.subprocess;
  policy.scratch = root_ + "/" + std::to_string(index);
  if (geteuid() == 0 && config_.level != Level::Off) {
    if (config_.run_as) {
      policy.user = *config_.run_as;
      policy.group = config_.run_as_group;
    } else {
      if (place.user == kNoUser) {
        if (Status found = find_user(place); !found.ok()) return found.error();
      }
      policy.user = policy.group = place.user;
      policy.own_user = true;
    }
  }
  std::optional<cgroup::Group> group;
  if (config_.groups != nullptr && config_.level != Level::Off) {
    Result<cgroup::Group> made = config_.groups->make({policy.limits.memory_bytes, policy.limits.processes});
    if (!made.ok()) return made.error();
    group.emplace(std::move(made).value());
    policy.in_group = true;
    // So that it is the group that refuses, and counts it. What others of a shared user have does not matter to it.
    if (config_.groups->controllers().pids && policy.limits.processes > 0) {
      policy.limits.processes = policy.own_user ? policy.limits.processes + 1 : 0;
    }
  }
  // Where a user is shared, what it has already must not count against the first host that starts.
  if (config_.level != Level::Off && !policy.own_user && policy.limits.processes > 0) {
    policy.limits.processes += tasks_of(policy.user == kNoUser ? getuid() : policy.user);
  }
  remove_directory(policy.scratch);
  if (mkdir(policy.scratch.c_str(), 0700) != 0 ||
      (policy.user != kNoUser && chown(policy.scratch.c_str(), policy.user, policy.group) != 0)) {
    return Error{ErrorCode::Io, "scratch directory " + policy.scratch + ": " + std::strerror(errno)};
  }
  place.taken = true;
  return Seat(shared_from_this(), index, place.lock, std::move(policy), std::move(group));
}

}  // namespace retire::sandbox
