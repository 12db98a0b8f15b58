// What an attempt tells while it runs, in the memory that host and agent share: its progress, lines of its log, its
// latest checkpoint.
//
// The host writes whenever its handler says something, which costs a copy and wakes nobody; the agent looks now and
// then, and only at attempts that have been running for a while. So an attempt that is over soon costs nothing more,
// and one that floods costs its own host. All of it stays readable after the host has died.
//
// One writer, one reader. Everything is of one attempt, `sequence`: the writer sets that to 0 while it begins anew, and
// the reader looks at it before and after. The reader believes nothing: it bounds sizes and checks texts.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/limits.hpp"
#include "common/model/task.hpp"
#include "worker/host/shared_bytes.hpp"

namespace retire::host {

constexpr std::size_t kLiveLogBytes = std::size_t{64} << 10;

struct LiveArea {
  // The host's.
  alignas(64) std::atomic<std::uint64_t> sequence{0};  // whose all this is; 0: nothing to be read now
  std::atomic<std::uint32_t> progress_changes{0};      // odd while it is being written
  std::atomic<std::uint32_t> text_bytes{0};
  std::atomic<std::uint64_t> fraction{0};     // the bits of a double
  std::atomic<std::uint64_t> log_written{0};  // bytes of lines ever put into `log` by this attempt
  std::atomic<std::uint64_t> checkpoint_begun{0};
  std::atomic<std::uint64_t> checkpoint_done{0};  // the latest that is whole: it lies in place number % 2; 0: none
  std::array<std::atomic<std::uint32_t>, 2> checkpoint_bytes{};
  SharedBytes<kProgressTextBytesMax> text;

  // The agent's.
  alignas(64) std::atomic<std::uint64_t> log_read_of{0};  // whose lines log_read counts
  std::atomic<std::uint64_t> log_read{0};

  // Never touched, so no memory, unless an attempt tells something.
  alignas(64) SharedBytes<kLiveLogBytes> log;
  std::array<SharedBytes<kCheckpointBytesMax>, 2> checkpoints;
};

// The host's end. Threads: the caller's lock is held in every call.
class LiveWriter {
 public:
  explicit LiveWriter(LiveArea& area) : area_(area) {}

  // Another attempt begins; costs nothing until it tells something.
  void begin(std::uint64_t sequence) { sequence_ = sequence; }
  // `text`: UTF-8 of at most kProgressTextBytesMax bytes.
  void progress(double fraction, std::string_view text);
  // Line `number` of the attempt's log; left out when the agent is behind. `text`: UTF-8, at most kLogLineBytesMax.
  void line(std::uint64_t number, const LogLine& line);
  // Precondition: at most kCheckpointBytesMax bytes.
  void checkpoint(std::string_view data);
  // The latest of this attempt; empty: none. Valid until the next but one is written.
  std::string_view latest_checkpoint() const;

 private:
  void open();
  void put(std::uint64_t at, const void* data, std::size_t size);

  LiveArea& area_;
  std::uint64_t sequence_ = 0;
  std::uint64_t opened_ = 0;              // the sequence that the area was opened for
  std::uint64_t written_ = 0;             // as area_.log_written
  std::optional<std::uint64_t> full_at_;  // what had been read when a line did not fit
};

// What the agent has read.
struct Told {
  bool has_progress = false;  // it has changed
  double fraction = 0;
  std::string text;
  std::uint64_t first_line = 0;
  std::vector<LogLine> lines;
  bool has_checkpoint = false;  // it is a new one
  std::string checkpoint;

  bool any() const { return has_progress || !lines.empty() || has_checkpoint; }
};

// The agent's end. Threads: one.
class LiveReader {
 public:
  explicit LiveReader(LiveArea& area) : area_(area) {}

  // What attempt `sequence` has told since the last time; lines up to where some are missing, the rest next time. With
  // `again` progress and checkpoint are given also if they were before.
  Told read(std::uint64_t sequence, bool again);
  // For an attempt whose host is gone: every line that was read, with what is left, and its latest checkpoint.
  struct Last {
    std::vector<LogLine> lines;
    std::string checkpoint;
  };
  Last last(std::uint64_t sequence);

 private:
  void read_progress(Told& out);
  void read_lines(Told& out);
  void read_checkpoint(Told& out);
  void get(std::uint64_t at, void* to, std::size_t size) const;

  LiveArea& area_;
  std::uint64_t sequence_ = 0;
  std::uint32_t progress_seen_ = 0;
  std::uint64_t read_ = 0;
  std::uint64_t next_line_ = 0;
  std::uint64_t checkpoint_seen_ = 0;
  std::vector<LogLine> kept_;  // of `sequence_`, within the limits of a log
  std::size_t kept_bytes_ = 0;
};

}  // namespace retire::host
