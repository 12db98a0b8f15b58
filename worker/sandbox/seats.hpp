// The agent's side of sandboxes: who each handler host runs as and where its scratch directory lies.
//
// A seat is what one host uses at a time. As root each seat has a user of its own, so that limits of processes bind
// each host for itself and that ending "all of this user" ends exactly what the host has started. Two workers on a
// machine never use the same user: a user is held by a lock on a file, which goes with the last process that has it.
// Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "worker/cgroup/groups.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::sandbox {

struct SeatsConfig {
  Level level = Level::Off;
  Limits limits;
  std::vector<std::string> writable;  // absolute
  bool filter = true;
  // As root and not Level::Off: this user for all seats; none: one for each.
  std::optional<uid_t> run_as;
  gid_t run_as_group = kNoUser;
  std::string temporary = "/tmp";          // where the directory of scratch directories is made
  std::shared_ptr<cgroup::Groups> groups;  // in which each seat has its own; null: none
};

class Seats;

// Gives itself back when it goes.
class Seat {
 public:
  Seat(Seat&& other) noexcept
      : seats_(std::move(other.seats_)),
        index_(other.index_),
        lock_(other.lock_),
        policy_(std::move(other.policy_)),
        group_(std::move(other.group_)) {}
  Seat& operator=(Seat&&) = delete;
  ~Seat();

  const Policy& policy() const { return policy_; }
  // To be inherited by the host's supervisor, so that the user stays taken as long as it lives; -1: none.
  int lock() const { return lock_; }
  // Which all that the host starts is born in; null: there are none.
  cgroup::Group* group() { return group_ ? &*group_ : nullptr; }

 private:
  friend class Seats;
  Seat(std::shared_ptr<Seats> seats, std::size_t index, int lock, Policy policy, std::optional<cgroup::Group> group)
      : seats_(std::move(seats)), index_(index), lock_(lock), policy_(std::move(policy)), group_(std::move(group)) {}
  std::shared_ptr<Seats> seats_;
  std::size_t index_;
  int lock_;
  Policy policy_;
  std::optional<cgroup::Group> group_;
};

class Seats : public std::enable_shared_from_this<Seats> {
 public:
  static std::shared_ptr<Seats> make(SeatsConfig config);
  ~Seats();
  Seats(const Seats&) = delete;
  Seats& operator=(const Seats&) = delete;

  const SeatsConfig& config() const { return config_; }
  // A free seat, with its scratch directory empty and there, and its control group. At Level::Strict without the
  // network and without other processes, unless the terms ask for them; with the tighter of the worker's limits and
  // theirs. Errors: Io, Configuration when no user is free.
  Result<Seat> take(const Terms& terms = {});

 private:
  friend class Seat;
  struct Place {
    bool taken = false;
    uid_t user = kNoUser;
    int lock = -1;
  };
  explicit Seats(SeatsConfig config);
  Status find_user(Place& place);
  Status make_root();
  void remove_stale() const;

  const SeatsConfig config_;
  std::mutex mutex_;  // of what follows
  std::vector<Place> places_;
  std::string root_;    // of scratch directories; empty: not made yet
  int root_lock_ = -1;  // locked as long as this worker lives
  uid_t next_user_;
};

// How many processes and threads a user has now. Reads all of /proc.
std::uint64_t tasks_of(uid_t user);

}  // namespace retire::sandbox
