// What one handler host may do: decided by the agent, carried out by the host upon itself before it loads its plugin.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace retire::sandbox {

// As the flag --sandbox; each holds all of the one before.
enum class Level : std::uint8_t { Off = 0, Basic = 1, Strict = 2 };

// 0: no limit of ours. Each binds a process, but `processes`, which binds a user (see Seats).
struct Limits {
  std::uint64_t memory_bytes = 0;  // private memory that may be written to (RLIMIT_DATA)
  std::uint64_t file_bytes = std::uint64_t{4} << 30;
  std::uint64_t open_files = 1024;
  std::uint64_t processes = 256;           // and threads; beside what the user has already where it is the worker's own
  std::uint64_t cpu_seconds = 7 * 86'400;  // a backstop: what ends an attempt is its timeout
};

// The tighter of both, limit by limit.
Limits tighter(const Limits& one, const Limits& other);

// What a plugin asks for, of the policy of its hosts.
struct Terms {
  bool network = false;             // at Level::Strict there is none otherwise
  bool subprocess = false;          // at Level::Strict it can start no program and no process otherwise
  Limits limits = {0, 0, 0, 0, 0};  // its own; a tighter one of the worker's stays
};

constexpr uid_t kNoUser = static_cast<uid_t>(-1);

struct Policy {
  Level level = Level::Off;
  uid_t user = kNoUser;  // to become; kNoUser: stays who it is
  gid_t group = kNoUser;
  bool own_user = false;              // nobody else runs as `user`: what runs as it belongs to this host
  bool filter = true;                 // the filter of system calls; false where the kernel has none
  bool in_group = false;              // it is to join the control group that was opened for it
  bool network = true;                // at Level::Strict: whether it shares the machine's network
  bool subprocess = true;             // at Level::Strict: whether it may start programs and processes
  std::string scratch;                // a directory of its own, absolute; empty: none
  std::vector<std::string> writable;  // directories that it may read and write, absolute
  Limits limits;
};

// For a host of the same build.
std::string encode(const Policy& policy);
// False if it is not one.
bool decode(std::string_view bytes, Policy& out);

}  // namespace retire::sandbox
