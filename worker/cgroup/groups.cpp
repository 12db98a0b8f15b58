#include "worker/cgroup/groups.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>

#include "worker/cgroup/files.hpp"

namespace retire::cgroup {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOwnPrefix = "retire-cluster-";
constexpr const char* kWorker = "worker";
constexpr useconds_t kPauseUs = 1000;
constexpr int kPauses = 500;  // a process that was killed is dead in a moment, unless a disk holds it

Error failed(const std::string& what) { return {ErrorCode::Io, what + ": " + std::strerror(errno)}; }

std::vector<std::string> groups_in(const fs::path& directory) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->is_directory(error)) out.push_back(entry->path().filename());
  }
  return out;
}

// Kills until nothing is left to be; false if something will not die now.
bool empty_out(int directory) {
  for (int i = 0; i < kPauses && is_populated(directory); ++i) {
    kill_all(directory);
    usleep(kPauseUs);
  }
  return !is_populated(directory);
}

bool remove_group(const std::string& path) {
  for (int i = 0; i < kPauses; ++i) {
    if (rmdir(path.c_str()) == 0 || errno == ENOENT) return true;
    if (errno != EBUSY) return false;
    usleep(kPauseUs);
  }
  return false;
}

}  // namespace

Group::~Group() {
  if (groups_ == nullptr) return;
  if (directory_ >= 0) close(directory_);
  groups_->remove(name_);
}

Use Group::use() const {
  Use out;
  out.limits = limits_;
  const std::string memory = read_from(directory_, "memory.events");
  out.oom_kills = count_of(memory, "oom_kill");
  out.limit_kills = count_of(memory, "oom");
  const std::string peak = read_from(directory_, "memory.peak");
  std::from_chars(peak.data(), peak.data() + peak.size(), out.peak_bytes);
  out.processes_refused = count_of(read_from(directory_, "pids.events"), "max");
  return out;
}

void Group::end() { empty_out(directory_); }

Result<std::shared_ptr<Groups>> Groups::open(const Place& place) {
  std::shared_ptr<Groups> groups(new Groups(place));
  if (Status started = groups->start(); !started.ok()) return started.error();
  return groups;
}

Status Groups::start() {
  place_directory_ = open_group(place_.directory);
  if (place_directory_ < 0) return failed(place_.directory);
  if (place_.inside) {
    const fs::path below = place_.directory / kWorker;
    if (mkdir(below.c_str(), 0755) != 0 && errno != EEXIST) return failed(below);
    const int worker = open_group(below);
    const Status moved = write_to(worker, "cgroup.procs", "0");
    close(worker);
    if (!moved.ok()) return Error{ErrorCode::Io, below.string() + ": " + moved.error().detail};
    moved_ = true;
  }
  Status shared = ok_status();
  const std::vector<std::string> before =
      names(parse_controllers(read_from(place_directory_, "cgroup.subtree_control")));
  for (const std::string& name : names(place_.controllers)) {
    if (std::find(before.begin(), before.end(), name) == before.end()) {
      if (Status enabled = write_to(place_directory_, "cgroup.subtree_control", "+" + name); !enabled.ok()) {
        shared = enabled;
        continue;
      }
      shared_out_.push_back(name);
    }
  }
  remove_stale();
  for (int i = 0; own_directory_ < 0; ++i) {
    const std::string path =
        place_.directory / (kOwnPrefix + std::to_string(getpid()) + (i == 0 ? "" : "-" + std::to_string(i)));
    if (mkdir(path.c_str(), 0755) != 0) {
      if (errno == EEXIST && i < 100) continue;
      return failed(path);
    }
    own_ = path;
    own_directory_ = open_group(path);
    // Another worker that is just starting may take it for stale until it is locked.
    if (own_directory_ < 0 || flock(own_directory_, LOCK_EX | LOCK_NB) != 0 || access(path.c_str(), F_OK) != 0) {
      if (own_directory_ >= 0) close(std::exchange(own_directory_, -1));
      if (i >= 100) return Error{ErrorCode::Io, path + " is taken by another worker"};
    }
  }
  const Controllers given = parse_controllers(read_from(own_directory_, "cgroup.controllers"));
  for (const std::string& name :
       names({place_.controllers.memory && given.memory, place_.controllers.pids && given.pids})) {
    if (Status enabled = write_to(own_directory_, "cgroup.subtree_control", "+" + name); !enabled.ok()) {
      shared = enabled;
      continue;
    }
    (name == "memory" ? controllers_.memory : controllers_.pids) = true;
  }
  if (controllers_.any()) return ok_status();
  return shared.ok() ? Error{ErrorCode::Io, own_ + " is given no controller"} : shared.error();
}

Groups::~Groups() {
  for (int i = 0; i < kPauses && !remove_waiting(); ++i) usleep(kPauseUs);
  if (own_directory_ >= 0) close(own_directory_);
  if (!own_.empty()) rmdir(own_.c_str());
  const std::vector<std::string> left = groups_in(place_.directory);
  // What somebody else has made there meanwhile is limited by what we have shared out.
  const bool alone = left.empty() || (moved_ && left == std::vector<std::string>{kWorker});
  if (alone) {
    for (const std::string& name : shared_out_) {
      static_cast<void>(write_to(place_directory_, "cgroup.subtree_control", "-" + name).ok());
    }
    if (moved_ && write_to(place_directory_, "cgroup.procs", "0").ok()) rmdir((place_.directory / kWorker).c_str());
  }
  if (place_directory_ >= 0) close(place_directory_);
}

void Groups::remove_stale() const {
  for (const std::string& name : groups_in(place_.directory)) {
    if (!name.starts_with(kOwnPrefix)) continue;
    const std::string path = place_.directory / name;
    const int directory = open_group(path);
    if (directory < 0) continue;
    if (flock(directory, LOCK_EX | LOCK_NB) == 0 && empty_out(directory)) {
      for (const std::string& host : groups_in(path)) remove_group(path + "/" + host);
      remove_group(path);
    }
    close(directory);
  }
}

Result<Group> Groups::make(const Limits& limits) {
  std::string name;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    name = own_ + "/" + std::to_string(next_++);
  }
  remove_waiting();
  if (mkdir(name.c_str(), 0755) != 0) return failed("control group " + name);
  Group group(shared_from_this(), name, open_group(name), limits);
  if (group.descriptor() < 0) return failed("control group " + name);
  for (const Setting& setting : settings_for(limits, controllers_)) {
    const Status set = write_to(group.descriptor(), setting.file, setting.value);
    if (!set.ok() && setting.required) return Error{ErrorCode::Io, "control group " + name + ": " + set.error().detail};
  }
  return group;
}

void Groups::remove(const std::string& name) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(name);
  }
  remove_waiting();
}

bool Groups::remove_waiting() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase_if(waiting_, [](const std::string& name) { return rmdir(name.c_str()) == 0 || errno != EBUSY; });
  return waiting_.empty();
}

}  // namespace retire::cgroup
