// The control groups of a worker: one for each handler host, below one of the worker's own.
//
//   PLACE                      what was given to the worker (place.hpp)
//   ├─ worker                  the worker itself and the supervisors of its hosts, if it was in PLACE
//   └─ retire-cluster-PID      locked as long as the worker lives
//      └─ 1, 2, …              a host and all that it starts
//
// Threads: any.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "worker/cgroup/place.hpp"
#include "worker/cgroup/settings.hpp"

namespace retire::cgroup {

class Groups;

// One host's. Removed when it goes, or when the last of what dies in it is dead.
class Group {
 public:
  Group(Group&& other) noexcept
      : groups_(std::move(other.groups_)),
        name_(std::move(other.name_)),
        directory_(std::exchange(other.directory_, -1)),
        limits_(other.limits_) {}
  Group& operator=(Group&&) = delete;
  ~Group();

  int descriptor() const { return directory_; }  // for join() and kill_all()
  Use use() const;
  // Kills what is in it and waits, some milliseconds as a rule and never long, until nothing is.
  void end();

 private:
  friend class Groups;
  Group(std::shared_ptr<Groups> groups, std::string name, int directory, Limits limits)
      : groups_(std::move(groups)), name_(std::move(name)), directory_(directory), limits_(limits) {}
  std::shared_ptr<Groups> groups_;
  std::string name_;
  int directory_;
  Limits limits_;
};

class Groups : public std::enable_shared_from_this<Groups> {
 public:
  // Moves the calling process out of the place if it is in it, shares the place's controllers out, and removes what
  // killed workers have left there. Errors: Io; then everything is as before.
  static Result<std::shared_ptr<Groups>> open(const Place& place);
  // Takes all that back, as far as nobody else has begun to use it.
  ~Groups();
  Groups(const Groups&) = delete;
  Groups& operator=(const Groups&) = delete;

  // Those that bind; any().
  const Controllers& controllers() const { return controllers_; }
  // An empty one with these limits. Errors: Io.
  Result<Group> make(const Limits& limits);

 private:
  friend class Group;
  explicit Groups(Place place) : place_(std::move(place)) {}
  Status start();
  void remove_stale() const;
  void remove(const std::string& name);
  bool remove_waiting();

  const Place place_;
  Controllers controllers_;
  std::vector<std::string> shared_out_;  // controllers that the place had not shared out before
  bool moved_ = false;
  int place_directory_ = -1;
  std::string own_;  // path; empty: not made
  int own_directory_ = -1;

  std::mutex mutex_;  // of what follows
  std::uint64_t next_ = 1;
  std::vector<std::string> waiting_;  // to be removed
};

}  // namespace retire::cgroup
