// Where this worker may make control groups (version 2): decided from files of the system, nothing is changed.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>

#include "common/base/result.hpp"
#include "worker/cgroup/settings.hpp"

namespace retire::cgroup {

struct Surroundings {
  std::filesystem::path root = "/";  // tests have one of their own
  uid_t user = 0;                    // who the worker is
  pid_t self = 0;
  // An extended attribute of a directory; empty: none, or not to be read by this user.
  std::function<std::string(const std::filesystem::path& directory, const std::string& name)> attribute;
};
// Those of the calling process.
Surroundings surroundings();

struct Place {
  std::filesystem::path directory;
  bool is_top = false;  // of the whole hierarchy: the only group that may hold processes and share out as well
  bool inside = false;  // the worker is in it, and has to move to a group below before it can share out
  Controllers controllers;
};

// A group counts as ours when somebody has given it to us:
// - systemd has marked the unit that the worker is in as delegated (attribute trusted.delegate or user.delegate);
// - or the worker is not root and owns the group, which is none of its own systemd's units;
// - or the worker is root in a group that no unit of systemd is above of, and that is marked by hand in the same way;
// - or it is the top of all that the worker can see, and no systemd runs there: a container, or a machine without it.
// Errors: Configuration, saying why there is none: nothing has failed then.
Result<Place> find_place(const Surroundings& around);

}  // namespace retire::cgroup
