// The worker's core: which attempts it holds, what each slot does, what main has been told. Pure: events in, effects
// out, told the time; no sockets, clocks, threads, files or logs.
//
// Total: every event is answered in every state. What main or a host sends late or wrongly is ignored and counted.
// Threads: one. Precondition of all calls: `now` does not go backwards.
//
// The shell calls, in each turn of its loop: the on_…() of what has happened, on_time(), end_turn(); and does the
// effects of each call before the next one (results point into what the event pointed into).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/model/limits.hpp"
#include "common/model/messages.hpp"
#include "worker/core/attempt_table.hpp"
#include "worker/core/effects.hpp"
#include "worker/core/outbox.hpp"
#include "worker/core/session.hpp"
#include "worker/core/slots.hpp"
#include "worker/core/types.hpp"

namespace retire::worker {

struct CoreConfig {
  Capabilities device;  // normalised; its slots and handlers are what is run
  std::string program;
  InstanceId instance;
  std::uint64_t seed = 0;
  Duration drain_timeout = std::chrono::seconds(30);
  // Between asking an attempt to end and killing its host; half of it is over when they are sent SIGTERM.
  Duration kill_grace = std::chrono::seconds(2);
  // A host that has not begun anything for this long after it was given work is killed.
  Duration start_timeout = std::chrono::seconds(60);
  std::size_t held_max = kHeldAttemptsMax;
  std::size_t held_bytes_max = std::size_t{1} << 30;      // of messages with payloads; beyond it work is handed back
  std::size_t outbox_bytes_max = std::size_t{256} << 20;  // of results not acknowledged; beyond it nothing is begun
};

// What a host said of one attempt. Views live until the call returns.
struct HostResult {
  Sequence sequence = 0;
  bool skipped = false;  // not begun, because it was taken back
  bool spent = false;    // its host is to be replaced, as soon as it has answered for all it was given
  Outcome outcome = Outcome::Failed;
  std::optional<ByteView> data;
  std::uint64_t run_ns = 0;
  std::string_view error_message;
  std::string_view traceback;
  ByteView logs;              // msgpack array of log lines; empty: none
  ByteView checkpoint;        // of one that did not succeed; empty: none
  std::string_view plugin{};  // what ran it, as in results
};

// What a running attempt has told since the last time. Views live until the call returns.
struct HostTold {
  Sequence sequence = 0;
  std::optional<double> fraction;
  std::string_view text;
  std::uint64_t first_line = 0;
  ByteView logs;
  ByteView checkpoint;  // empty: no new one
};

struct HostLoss {
  Sequence running = 0;  // what the host had begun last; 0: nothing, or not known
  std::string reason;    // "handler process died: signal 11 (SIGSEGV)"
  std::string output;    // the last lines of what it printed
  std::string logs{};    // of `running`, and its latest checkpoint
  std::string checkpoint{};
  std::string plugin{};  // what it was, as in results
  std::string met{};     // limits of its control group that it had met, in words; empty: none
};

// Results that a former process of this worker had not got acknowledged, as they lie on its disk.
struct KeptBatch {
  std::vector<AttemptId> attempts;
  std::size_t bytes = 0;
};

struct CoreCounters {
  std::uint64_t duplicates = 0;       // assigned again
  std::uint64_t handed_back = 0;      // type not offered, draining, or no room
  std::uint64_t results_unknown = 0;  // from a host, of nothing it holds
  std::uint64_t results_refused = 0;  // batches that main could not read
  std::uint64_t messages_stale = 0;   // from before main's welcome
  std::uint64_t hosts_lost = 0;
};

class Core {
 public:
  explicit Core(CoreConfig config);

  // Before anything else: these are held, and told to main. The batches get the numbers 1, 2, 3, ….
  void restore(const std::vector<KeptBatch>& batches);

  // --- the connection
  void on_socket_opened(TimePoint now, Effects& out);
  void on_hello_not_sent(TimePoint now);
  void on_batch_not_sent(std::uint64_t batch, TimePoint now);
  void on_welcome(const Welcome& welcome, TimePoint now, Effects& out);
  void on_heartbeat(TimePoint now);
  void on_error(std::uint64_t correlation, const ErrorReply& error, TimePoint now, Effects& out);
  // `frame` owns what `message` points into, about `frame_bytes` of it.
  void on_assign(std::uint64_t correlation, const Assign& message, std::shared_ptr<const void> frame,
                 std::size_t frame_bytes, TimePoint now, Effects& out);
  void on_recall(std::uint64_t correlation, const AttemptIds& message, TimePoint now, Effects& out);
  void on_stop(const AttemptIds& message, TimePoint now, Effects& out);
  void on_ack(std::uint64_t correlation, TimePoint now, Effects& out);

  // --- the hosts
  void on_result(SlotIndex slot, const HostResult& result, TimePoint now, Effects& out);
  // Answers Order::Look. `running`: what the host had begun last, 0 for nothing; `started`: when.
  void on_looked(SlotIndex slot, Sequence running, TimePoint started, TimePoint now, Effects& out);
  // Answers Order::TakeBack, after every result that lay ready was given: nothing beyond `running` will be begun.
  void on_taken_back(SlotIndex slot, Sequence running, TimePoint started, TimePoint now, Effects& out);
  // Answers Order::Listen.
  void on_told(SlotIndex slot, const HostTold& told, Effects& out);
  // Effects::progress was dropped: what is to be known is told again.
  void on_progress_not_sent();
  void on_host_lost(SlotIndex slot, const HostLoss& loss, TimePoint now, Effects& out);

  // --- the rest
  // What the device offers from now on; main is told. Its ID and slots stay as they were. What is queued of a type that
  // went is handed back; what runs of one may end. `replaced`: types that other code stands behind now: attempts that a
  // host has not begun are taken back, and it is given no more of them until it has ended what it runs.
  void offer(const Capabilities& device, const std::vector<std::string>& replaced, Effects& out);
  void drain(TimePoint now, Effects& out);
  // The device takes no work for now and says why, in at most 256 bytes; empty: it does. What runs may end, what is not
  // begun stays here until main recalls it.
  void set_paused(std::string_view why, Effects& out);
  void on_time(TimePoint now, Effects& out);
  // The process ends: all that is not acknowledged is to be saved.
  void save_all(Effects& out);
  // Effects::save could not be done from this batch on.
  void on_not_saved(std::uint64_t batch, TimePoint now);
  // Hands out work and closes the messages of this turn.
  void end_turn(TimePoint now, Effects& out);
  // When on_time() is due next.
  TimePoint next_deadline() const;

  bool joined() const { return session_.joined(); }
  bool draining() const { return draining_; }
  bool paused() const { return !paused_.empty(); }
  std::size_t held() const { return table_.size(); }
  std::size_t queued() const { return table_.queued(); }
  bool results_wait() const { return !outbox_.empty(); }
  std::uint32_t running() const { return busy_; }
  const std::string& type_name(TypeIndex type) const { return types_.name(type); }
  const CoreCounters& counters() const { return counters_; }
  void check_invariants() const;

 private:
  // How an attempt ended, as main is told.
  struct Ending {
    explicit Ending(Outcome how, std::string_view why = {}, Duration ran = {})
        : outcome(how), run(ran), error_message(why) {}
    Outcome outcome;
    std::optional<ByteView> data;
    Duration run;
    std::string_view error_message;
    std::string_view traceback;
    ByteView logs;
    ByteView checkpoint;
    std::string_view plugin;
  };

  void finish(AttemptIndex index, const Ending& ending, Effects& out);
  void hand_back(const AssignItem& item, Effects& out);
  void stop(AttemptIndex index, TimePoint now, Effects& out);
  Ending ending_of(const Attempt& attempt, const HostResult& result, Effects& out) const;
  void requeue(AttemptIndex index, Effects& out);
  void close_entry(SlotIndex slot, Slot::Entry& entry);
  void set_free(SlotIndex slot);
  void take_back(SlotIndex slot, Effects& out);
  void found_running(SlotIndex slot, Sequence running, TimePoint started, TimePoint now, Effects& out);
  void ask_to_end(SlotIndex slot, Sequence sequence, TimePoint now, Effects& out);
  void look_after_slots(TimePoint now, Effects& out);
  void leave_if_done(TimePoint now, Effects& out);
  void hand_out(TimePoint now, Effects& out);
  SlotIndex choose_slot(const Attempt& attempt, std::size_t& count_max);
  void hand_over(SlotIndex slot, std::size_t count_max, TimePoint now, Effects& out);
  bool runs_short(TypeIndex type) const;
  double work_ns(const Slot& slot) const;
  bool may_add(const Slot& slot, const Attempt& attempt) const;

  CoreConfig config_;
  Session session_;
  AttemptTable table_;
  TypeTable types_;
  Outbox outbox_;
  std::vector<Slot> slots_;
  std::vector<SlotIndex> idle_;
  std::uint32_t busy_ = 0;
  std::uint64_t order_ = 0;
  Sequence sequence_ = 0;
  std::uint64_t seen_ = 0;
  InstanceId main_;                         // of the latest welcome
  AttemptId newest_;                        // the largest number that this main has assigned
  TimePoint look_next_ = TimePoint::max();  // no later than the earliest that a slot waits for
  bool draining_ = false;
  bool drain_told_ = false;
  bool device_told_ = false;  // main has the latest of what is offered, or will with the hello that was sent
  std::string paused_;        // why no work is taken; empty: it is
  bool heartbeat_due_ = false;
  bool left_ = false;
  TimePoint drain_until_ = TimePoint::max();
  TimePoint flush_until_ = TimePoint::max();
  CoreCounters counters_;
};

}  // namespace retire::worker
