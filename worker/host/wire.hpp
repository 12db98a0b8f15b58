// What agent and handler host say to each other. Both come from one build and run on one machine, so these are plain
// structures in native form; still, the agent believes nothing that a host says: a handler may have written over it.
//
// Socket, both ways: a u32 length and that many bytes.
//   agent → host   the first is a policy (sandbox/policy.hpp), the second a setup: SetupHeader, device, settings
//                  then runs: RunsHeader, the handler's name, and for each attempt RunHeader, its payload and the
//                  checkpoint it is handed
//   host → agent   length 0: results lie ready in the ring
//                  else one result too large for the ring: ResultHeader and its bytes
// Report: when nothing of a host is left, its supervisor writes one HostReport.
// Ring: see result_ring.hpp. Shared words: see shared_page.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

namespace retire::host {

constexpr int kSocketFd = 3;  // in a host
constexpr int kPageFd = 4;
constexpr int kPluginFd = 5;  // the image of the plugin's file
constexpr const char* kPluginFdPath = "/proc/self/fd/5";
constexpr int kReportFd = 6;    // the supervisor's, not the host's
constexpr int kUserLockFd = 7;  // as well: holds the user that the host runs as
constexpr int kGroupFd = 8;     // as well: the directory of the control group that the host is to join
constexpr int kLastFd = kGroupFd;

constexpr std::uint32_t kPolicyBytesMax = 1u << 20;

struct HostReport {
  std::int32_t status = 0;  // as wait() gives it
  std::uint32_t unused = 0;
  std::uint64_t peak_bytes = 0;  // the most that was resident, of the host or of a process it waited for
};

struct SetupHeader {
  std::uint32_t device_bytes = 0;
  std::uint32_t settings_bytes = 0;
};

struct RunsHeader {
  std::uint32_t count = 0;
  std::uint32_t name_bytes = 0;
};

struct RunHeader {
  std::uint64_t sequence = 0;
  std::uint8_t task[16] = {};
  std::uint64_t timeout_us = 0;
  std::uint32_t number = 1;
  std::uint32_t payload_bytes = 0;
  std::uint32_t checkpoint_bytes = 0;
  std::uint32_t unused = 0;
};

// Followed by data, error message, traceback, logs and checkpoint.
struct ResultHeader {
  std::uint32_t bytes = 0;  // of the whole record, rounded up to kRecordAlign; 0: the ring goes on at its beginning
  std::uint8_t outcome = 0;
  std::uint8_t has_data = 0;
  std::uint8_t skipped = 0;  // not begun, because it was taken back
  std::uint8_t unused = 0;
  std::uint64_t sequence = 0;
  std::uint64_t run_ns = 0;
  std::uint32_t data_bytes = 0;
  std::uint32_t error_bytes = 0;
  std::uint32_t traceback_bytes = 0;
  std::uint32_t logs_bytes = 0;
  std::uint32_t checkpoint_bytes = 0;
  std::uint32_t unused_too = 0;
};
static_assert(sizeof(ResultHeader) == 48);

constexpr std::size_t kRecordAlign = 8;
constexpr std::size_t kRingRecordMax = std::size_t{64} << 10;

}  // namespace retire::host
