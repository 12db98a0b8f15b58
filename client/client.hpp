// A connection to main: submits tasks, waits for results, asks about tasks and devices.
//
// Threads: one thread owns a Client and makes all calls; nothing happens between them, so call poll() (or any other)
// often enough to be heard by main. Time limits are durations from the call. While main is away a Client connects again
// by itself and repeats what was not answered; a call fails when its time is over, not before.
//
// Task IDs are chosen here, at random, unless the caller brings one; that makes repeating harmless.
//
// Two ways to use it:
//   blocking   const auto ids = client.submit({task}, 10s);  const auto results = client.wait(ids.value(), 30s);
//   pipelined  client.post(spec, payload) a million times, with client.poll(timeout, events) in between, holding
//              client.awaited() and client.unacknowledged_bytes() below a window of one's own.
//
// Errors: those main answers with; TimedOut, or Unreachable if main was away, when the time is over.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/model/messages.hpp"
#include "common/net/address.hpp"

namespace retire::client {

struct NewTask {
  std::optional<TaskId> id;  // nullopt: the client chooses one
  TaskSpec spec;
  std::string payload;   // one msgpack value
  std::string metadata;  // a msgpack map; empty: none
};

// A result that owns what it says.
struct TaskResult {
  TaskId id;
  TaskStatus status = TaskStatus::Success;
  std::optional<std::string> data;  // msgpack
  std::string device_id;
  WallTime started_at{};
  WallTime completed_at{};
  Duration run{};
  std::string error_message;
  std::string traceback;
  std::string logs;    // msgpack array of log lines; empty: none
  std::string plugin;  // what ran it: "NAME VERSION sha256:HEX"; empty: not known

  static TaskResult copy(const ResultItem& item, std::string_view device);
  ResultItem view() const;  // points into *this; without the device
};

struct TaskPage {
  std::vector<std::string> tasks;  // task maps, msgpack, newest first
  std::optional<std::uint64_t> next_cursor;
};

// What main has of a task's log.
struct LogPage {
  TaskStatus status = TaskStatus::Queued;
  std::uint32_t attempt = 0;  // whose lines these are, from 1; 0: none has told anything
  std::string lines;          // msgpack array of log lines; empty: none
  std::uint64_t next = 0;     // the cursor to ask with next time
  std::uint64_t missed = 0;   // lines since the cursor that main did not get or keep
};

// What poll() tells. All views live until the callback returns; a callback may call post() and forget(), nothing else.
class Events {
 public:
  virtual ~Events() = default;
  // Main has accepted these tasks, in the order they were posted.
  virtual void on_submitted(std::span<const TaskId> /*tasks*/) {}
  // Main has refused these tasks, all of them; `index` is the one to blame, if one is (those in front of it in its
  // batch are submitted again by themselves).
  virtual void on_refused(std::span<const TaskId> /*tasks*/, const Error& /*error*/,
                          std::optional<std::uint64_t> /*index*/) {}
  // A task posted with notification, or awaited, is final.
  virtual void on_result(const ResultItem& /*item*/, std::string_view /*device*/) {}
  // Main does not know this awaited task (any more): there will be no result.
  virtual void on_lost(const TaskId& /*task*/) {}
};

struct Options {
  Address address;
  Duration connect_timeout = std::chrono::seconds(5);
  std::string program = "retire-cluster-client";    // named in main's log; the version is added
  Duration submit_timeout = std::chrono::hours(1);  // of a posted batch: how long main may be away or busy
  bool notify = true;  // whether results of posted tasks are pushed here, as events; else they are not awaited
};

class Client {
 public:
  // Connects and waits for main's welcome. Errors: Unreachable after the connect timeout, saying what to check; Invalid
  // for an address that cannot be one; UnsupportedVersion or NotLetIn from main.
  static Result<std::unique_ptr<Client>> connect(Options options);
  ~Client();  // says goodbye; what was not acknowledged may be lost
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const Welcome& main() const;

  // --- Blocking calls. Events of posted tasks that arrive meanwhile are kept for the next poll().

  // One batch, accepted or refused as a whole; the IDs in order. At most 10,000 tasks and 30 MiB (TooLarge). Results
  // are not pushed: call wait().
  Result<std::vector<TaskId>> submit(const std::vector<NewTask>& tasks, Duration timeout);
  // Until all are final: their results, in the order of `ids`. Errors: NotFound names a task that main does not know.
  Result<std::vector<TaskResult>> wait(const std::vector<TaskId>& ids, Duration timeout);
  // Task maps in the order of `ids`; nullopt for an unknown one.
  Result<std::vector<std::optional<std::string>>> get(const std::vector<TaskId>& ids, bool payload, bool result,
                                                      Duration timeout);
  Result<TaskPage> list(const List& query, Duration timeout);
  // For each whether it was not final yet; nullopt for an unknown one.
  Result<std::vector<std::optional<bool>>> cancel(const std::vector<TaskId>& ids, Duration timeout);
  // For each whether it had failed or timed out and is queued again, under its ID; nullopt for an unknown one.
  Result<std::vector<std::optional<bool>>> retry(const std::vector<TaskId>& ids, Duration timeout);
  // Errors: NotFound, and Conflict for a device that is to be removed and is connected.
  Status control(const QueueControl& what, Duration timeout);
  Status control(const DeviceControl& what, Duration timeout);
  // msgpack as in docs/protocol.md: an explanation, statistics, a list of device maps (NotFound for an unknown one).
  Result<std::string> why(const TaskId& id, Duration timeout);
  Result<std::string> why(const TaskSpec& spec, Duration timeout);
  Result<std::string> stats(Duration timeout);
  // The log of a task that is not final, after `cursor` (0: from the beginning); that of a final one is in its result.
  Result<LogPage> logs(const TaskId& id, std::uint64_t cursor, Duration timeout);
  Result<std::string> devices(const std::string& device_id, Duration timeout);

  // --- Pipelined.

  // Adds one task to the open batch, which goes to main when it is full (512 tasks or 1 MiB), by flush() and by poll().
  // Returns its ID. Equal specs one after the other cost nothing. `payload` is one msgpack value of at most 16 MiB.
  TaskId post(const TaskSpec& spec, ByteView payload, ByteView metadata = {}, std::optional<TaskId> id = std::nullopt);
  void flush();
  // Flushes, receives what is there, or waits up to `timeout` for something; tells `events`. True if it told anything.
  // Errors: main refuses this client for good.
  Result<bool> poll(Duration timeout, Events& events);
  // Asks for the results of tasks submitted some time; they come as events.
  void await(const std::vector<TaskId>& ids);
  void forget(const std::vector<TaskId>& ids);

  std::size_t awaited() const;               // tasks whose results are still to come, the open batch left out
  std::size_t unacknowledged() const;        // posted tasks that main has not accepted or refused yet
  std::size_t unacknowledged_bytes() const;  // of their messages

  TaskId new_id();

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace retire::client
