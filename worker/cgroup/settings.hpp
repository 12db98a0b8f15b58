// What is written to a control group and what is read from it, as text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace retire::cgroup {

// Those that bind all processes of a group together, of the ones that the kernel has.
struct Controllers {
  bool memory = false;
  bool pids = false;  // processes and threads
  bool any() const { return memory || pids; }
};

// "cpu memory pids", as in cgroup.controllers.
Controllers parse_controllers(std::string_view text);
// As in cgroup.controllers: "memory pids".
std::vector<std::string> names(const Controllers& controllers);

// 0: no limit.
struct Limits {
  std::uint64_t memory_bytes = 0;
  std::uint64_t processes = 0;
};

struct Setting {
  std::string file;  // within the group
  std::string value;
  bool required = true;  // false: older kernels lack it, or it is of no use to this one
};

// How the group of one handler host is limited.
std::vector<Setting> settings_for(const Limits& limits, const Controllers& controllers);

// What came of it.
struct Use {
  Limits limits;                        // that were set
  std::uint64_t oom_kills = 0;          // processes killed for want of memory, whoever's
  std::uint64_t limit_kills = 0;        // times that it was the want of the group itself
  std::uint64_t peak_bytes = 0;         // of all together, files it had read and written included; 0: not known
  std::uint64_t processes_refused = 0;  // beyond the limit
};

// The number after `key` in a file of lines "key number"; 0 if it is not there.
std::uint64_t count_of(std::string_view text, std::string_view key);

}  // namespace retire::cgroup
