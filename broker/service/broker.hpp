// Main's loop: frames in, the scheduler's steps, records to the store, frames out. Dull on purpose: what is decided is
// decided in broker/core.
//
// Told the time, and given its connections and its store, so that a whole cluster can be simulated around it.
// Threads: one. Order of a turn: receive a bounded number of frames; step each; let time pass; take what the store has
// read; hand the records to the store; send each frame when the store has reached its position.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "broker/core/scheduler.hpp"
#include "broker/service/session.hpp"
#include "broker/service/transport.hpp"
#include "broker/store/store.hpp"

namespace retire::service {

struct BrokerConfig {
  core::SchedulerConfig scheduler;
  Duration heartbeat = std::chrono::seconds(5);
  std::uint64_t epoch = 1;
  std::uint64_t seed = 0;
  std::size_t sessions_max = 20'000;
  std::size_t outbox_bytes_max = std::size_t{256} << 20;  // of one peer that does not read; beyond it the peer is cut
  std::size_t socket_bytes_max = std::size_t{32} << 20;   // of them, given to the socket
  std::size_t unread_bytes_max = std::size_t{160} << 20;  // of all peers; beyond it those with the most are cut
  std::size_t backlog_bytes_max = std::size_t{96} << 20;  // appended and not durable: beyond it submissions are refused
  std::size_t reads_bytes_max = std::size_t{64} << 20;    // of results that are read from the store at the same time
};

// What happens as a matter of course and is only counted.
struct BrokerCounters {
  std::uint64_t messages_in = 0;
  std::uint64_t messages_out = 0;
  std::uint64_t malformed = 0;
  std::uint64_t hello_required = 0;
  std::uint64_t peers_cut = 0;
  std::uint64_t busy = 0;                // requests that were told to come again
  std::uint64_t fetched = 0;             // records read from the store
  std::uint64_t records_unreadable = 0;  // of devices and pauses, by a newer or older main
};

class Broker {
 public:
  // `transport` and `store` must outlive it.
  Broker(const BrokerConfig& config, Transport& transport, store::Store& store);
  ~Broker();

  // Everything that is due at `now`, which does not go backwards. Errors: StorageFailed: main must end.
  Status turn(Now now);
  // When the next turn is due, if no frame comes and the store does not move before.
  TimePoint next_turn() const;

  const core::Scheduler& scheduler() const { return scheduler_; }
  const BrokerCounters& counters() const { return counters_; }
  // Whether everything of former runs is known.
  bool loaded() const { return scheduler_.loading() == core::Scheduler::Loading::Done; }

 private:
  // broker.cpp
  void receive_all();
  // `parked`: of a hello that had to wait; null: it was received just now.
  void handle(const std::string& peer, std::string_view frame, const net::Connection* parked);
  void dispatch(Session& session, const protocol::Envelope& envelope);
  void hello(const std::string& peer, std::string_view frame, const protocol::Envelope& envelope,
             const net::Connection& connection);
  void refuse(std::string_view peer, std::uint64_t correlation, const ErrorReply& error);
  Status read(Session& session, const protocol::Envelope& envelope, Status decoded);

  // client_requests.cpp
  bool handle_client(Session& session, const protocol::Envelope& envelope);
  void on_submit(Session& session, const protocol::Envelope& envelope);
  void on_wait(Session& session, const protocol::Envelope& envelope);
  void on_forget(Session& session, const protocol::Envelope& envelope);
  void on_get(Session& session, const protocol::Envelope& envelope);
  void on_list(Session& session, const protocol::Envelope& envelope);
  void on_cancel(Session& session, const protocol::Envelope& envelope);
  void on_retry(Session& session, const protocol::Envelope& envelope);
  void on_queue(Session& session, const protocol::Envelope& envelope);
  void on_device(Session& session, const protocol::Envelope& envelope);
  void done(Session& session, std::uint64_t correlation);
  void on_why(Session& session, const protocol::Envelope& envelope);
  void on_stats(Session& session, const protocol::Envelope& envelope);
  void on_devices(Session& session, const protocol::Envelope& envelope);
  void on_logs(Session& session, const protocol::Envelope& envelope);
  void watch(Session& session, core::TaskIndex task);
  bool still_loading(Session& session, std::uint64_t correlation, const std::vector<TaskId>& ids);
  bool busy(Session& session, std::uint64_t correlation, const std::string& why, Duration retry_after);
  std::optional<std::string> full() const;

  // worker_messages.cpp
  bool handle_worker(Session& session, const protocol::Envelope& envelope);
  void on_progress(core::DeviceIndex device, const ProgressItem& item);
  void keep_for_retry(core::DeviceIndex device, const FinishedItem& item);

  // store_records.cpp
  void append_records();
  void append_devices();
  void append_pauses();
  void restore_pauses();
  Status load();
  void restore(store::Position position, const store::Record& record);
  void restore_device(const store::Record& record);
  void end_queue();
  void queue_loaded();
  bool not_loaded(const TaskId& id) const;

  // store_reads.cpp
  struct StoredBytes {
    std::string payload;
    std::string data;
    std::string error_message;
    std::string traceback;
    std::string logs;
  };
  struct Read;  // of a client
  void fetch(store::Position position, std::uint64_t token, std::size_t bytes);
  void pump_fetches();
  Status take_fetched();
  void payload_fetched(AttemptId attempt, core::DeviceIndex device, std::string&& payload);
  void read_results(Session& session, std::vector<TaskId>&& ids);
  bool read_tasks(Session& session, std::uint64_t correlation, const Get& request);
  void step_read(std::uint64_t number);
  void send_tasks(Session& session, std::uint64_t correlation, const Get& request, const Read* read);

  // effects.cpp
  void carry_out();
  void gather_assign(core::AttemptIndex attempt);
  void put_into_assign(Session& session, core::AttemptIndex attempt, std::string_view payload);
  void drain_pending(Session& session);
  // `stored`: its bytes, when the core has let go of them.
  void gather_result(Session& session, core::TaskIndex task, const StoredBytes* stored);
  void tell_watchers(core::TaskIndex task);
  void close_assign(Session& session);
  void close_results(Session& session);
  void gathering(Session& session);
  void end_turn();

  // sending
  // `after`: not before the store has reached it; 0: at once. Frames that wait keep their order, and so do those that
  // do not.
  void reply(Session& session, std::string&& frame, store::Position after = 0);
  void order(Session& session, std::string&& frame, store::Position after = 0);
  bool fail(Session& session, std::uint64_t correlation, const Error& error);
  Status flush();
  bool flush(Session& session);
  bool send(Session& session, std::string& frame, bool& open);
  void cut_the_fullest();
  void cut(Session& session);
  void lose(Session& session);
  void close(Session& session);

  BrokerConfig config_;
  InstanceId instance_;
  Transport& transport_;
  store::Store& store_;
  core::Scheduler scheduler_;
  core::Effects effects_;
  SessionTable sessions_;
  BrokerCounters counters_;
  Now now_;
  store::Position appended_ = 0;
  store::Position durable_ = 0;
  TimePoint loading_since_{};
  bool queue_loaded_ = false;  // just now: workers that hold attempts are still to be answered

  // Reading from the store.
  struct Fetch {
    store::Position position = 0;
    std::uint64_t token = 0;
    std::size_t bytes = 0;
  };
  struct Purpose {
    AttemptId attempt;         // whose payload it is,
    core::DeviceIndex device;  // and where it goes; or none:
    std::uint64_t read = 0;    // the read it belongs to,
    store::Position position = 0;
    std::size_t bytes = 0;
  };
  std::deque<Fetch> fetch_queue_;  // not asked for yet
  std::unordered_map<std::uint64_t, Purpose> purposes_;
  std::uint64_t last_token_ = 0;
  std::size_t fetching_ = 0;  // under way
  std::size_t fetching_bytes_ = 0;
  std::unordered_map<std::uint64_t, std::unique_ptr<Read>> reads_;
  std::uint64_t last_read_ = 0;
  std::size_t reads_bytes_ = 0;
  std::vector<TaskId> to_read_;  // results that watch() found in the store only

  struct ParkedHello {
    std::string peer;
    std::string frame;
    net::Connection connection;
  };
  std::vector<ParkedHello> parked_hellos_;  // of workers that hold attempts, until the queue is loaded

  std::vector<std::string> gathering_;   // routing IDs of sessions that gathered something in this turn
  std::vector<std::string> unsent_;      // and of those whose outbox is not empty
  std::vector<core::DeviceIndex> gone_;  // whose connections broke in this turn; the core is told in the next
  bool blocked_ = false;                 // whether some peer's queue was full
  bool more_ = false;                    // whether frames may be left
  // A task that more than one client watches; the first stands in the task itself.
  std::unordered_multimap<std::uint32_t, core::Watcher> more_watchers_;
  TimePoint next_sweep_{};

  // Decoded messages that keep their capacity.
  Submit submit_;
  Finished finished_;
  AttemptIds attempts_;
  TaskIds ids_;
  Heartbeat heartbeat_;
  Progress progress_;
  std::vector<LogLine> log_lines_;
  std::string peer_;
};

}  // namespace retire::service
