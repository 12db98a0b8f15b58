// The agent's side of one handler host. Nothing here blocks.
//
// Owns the process: it is ended, with all it has started, when this goes. Threads: one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.hpp"
#include "common/model/task.hpp"
#include "worker/host/death.hpp"
#include "worker/host/plugin.hpp"
#include "worker/host/result_ring.hpp"
#include "worker/host/setup.hpp"
#include "worker/host/shared_page.hpp"
#include "worker/host/spawn.hpp"
#include "worker/host/unanswered.hpp"
#include "worker/sandbox/seats.hpp"

namespace retire::host {

// One attempt for a host.
struct RunRequest {
  std::uint64_t sequence = 0;
  TaskId task;
  std::uint32_t number = 1;
  Duration timeout{};
  ByteView payload;
  ByteView checkpoint{};
};

// What a host said of one attempt. Checked: texts are UTF-8, logs are log lines, everything is within its limit. Views
// live until HostProcess::release().
struct AttemptResult {
  std::uint64_t sequence = 0;
  bool skipped = false;
  bool spent = false;  // HostProcess::spent(): it can be replaced once it has nothing to do
  Outcome outcome = Outcome::Failed;
  std::optional<ByteView> data;
  std::uint64_t run_ns = 0;
  std::string_view error_message;
  std::string_view traceback;
  ByteView logs;
  ByteView checkpoint{};
  std::string_view plugin{};  // its identity, as in results; lives as long as the host
};

// What a running attempt has told since the last time. Checked as results are; views live until the next listen().
struct AttemptTold {
  std::optional<double> fraction;
  std::string_view text;
  std::uint64_t first_line = 0;
  ByteView logs;
  ByteView checkpoint{};
};

class HostProcess {
 public:
  // After `attempts_max` attempts it is spent(). Errors: Io.
  static Result<std::unique_ptr<HostProcess>> start(const std::string& program, PluginPtr plugin,
                                                    const std::string& encoded_setup, sandbox::Seat seat,
                                                    std::size_t attempts_max);
  ~HostProcess();
  HostProcess(const HostProcess&) = delete;
  HostProcess& operator=(const HostProcess&) = delete;

  const Plugin* plugin() const { return plugin_.get(); }
  pid_t pid() const { return pid_; }  // of its supervisor
  int socket() const { return socket_.get(); }
  int output() const { return output_.get(); }

  // A message with attempts of one type: begin, add each, end. Bytes go out with flush().
  void begin_runs(std::string_view handler, std::size_t count);
  void add_run(const RunRequest& run);
  void end_runs();
  // Writes what the socket takes; true if something is left, so that it waits for the socket to be writable.
  bool flush();

  // Reads what the socket has, up to a bound, as a handler may write for ever.
  void read_socket();
  // The host has shut its end, or one way of it: nothing can be said to it, or heard of it, any more.
  bool closed() const { return closed_; }
  // Reads some of what it prints; false at its end. `bytes_max` bounds how much, as a handler may print for ever.
  bool read_output(std::size_t bytes_max);

  // The next result, from the ring or the socket; nullptr when there is none now. Its views live until release().
  const AttemptResult* next_result();
  void release();
  // The host wrote what no host writes: it is to be killed.
  bool broken() const { return broken_; }

  // What `sequence` has told since the last time, or with `again` all that is to be known but its lines; null: nothing.
  const AttemptTold* listen(std::uint64_t sequence, bool again);
  // After its end: the log of what ran, and its latest checkpoint.
  struct LastWords {
    std::string logs;
    std::string checkpoint;
  };
  LastWords last_words();
  std::uint64_t running() const { return page_.page().running.load(); }
  TimePoint started() const;
  void take_back();  // of everything handed over so far, nothing more is begun
  void cancel(std::uint64_t sequence);
  void terminate();  // SIGTERM to it and all it has started
  void kill();
  void hung_up();  // it has closed its socket: ends what may be left of it; how it died is told as its own doing
  bool killed() const { return killed_; }

  // True once the process is gone and with it all that it had started; then reason() says how.
  bool reap();
  const std::string& reason() const { return reason_; }
  const std::string& met() const { return met_; }  // as Loss::met
  // After reap(): its supervisor was killed, so that what it had started may be left, and is ours to end.
  bool unsupervised() const { return unsupervised_; }
  std::string output_text() const { return tail_.text(); }

  std::size_t unanswered() const { return unanswered_.size(); }
  // It is to be replaced: its plugin was, or what it was told at its start has changed.
  void retire() { retired_ = true; }
  // It has had its share of work, or asks to be replaced, or retire() was called: to be given no more.
  bool spent() const;

 private:
  HostProcess(Spawned spawned, PageMapping page, PluginPtr plugin, sandbox::Seat seat, std::size_t attempts_max);
  const AttemptResult* checked(const ResultHeader& header, const ResultParts& parts);

  std::size_t attempts_max_;
  PluginPtr plugin_;
  pid_t pid_;
  Fd socket_;
  Fd output_;
  Fd report_;
  sandbox::Seat seat_;
  PageMapping page_;
  RingReader ring_;
  LiveReader live_;
  Told told_;
  std::string told_logs_;
  AttemptTold attempt_told_;
  std::string out_;
  std::size_t out_done_ = 0;
  std::size_t message_at_ = 0;      // where the message begins that is being written
  std::string in_;                  // of the socket: not yet complete
  std::deque<std::string> large_;   // records from the socket, complete
  std::deque<std::string> in_use_;  // what views of results point into
  AttemptResult result_;
  OutputTail tail_;
  std::string reason_;
  std::string met_;
  std::uint64_t last_sequence_ = 0;
  std::uint64_t taken_back_ = 0;     // nothing up to this sequence was to be begun any more
  std::int64_t given_since_ns_ = 0;  // when it was given work while it had none
  std::size_t handed_ = 0;
  Unanswered unanswered_;
  std::size_t bells_ = 0;         // how often it said that results lie in the ring
  std::size_t ring_records_ = 0;  // and how many have lain there
  bool closed_ = false;
  bool broken_ = false;
  bool killed_ = false;
  bool killed_by_us_ = false;  // and not gone before
  bool reaped_ = false;
  bool unsupervised_ = false;
  bool retired_ = false;
};

}  // namespace retire::host
