// What a Client is made of: the core, the connection that carries out what it decides, the blocking call or the events
// that wait for answers. Private to client/. connection.cpp sends and receives, requests.cpp holds the blocking calls,
// pipeline.cpp what is posted and told.
#pragma once

#include <deque>
#include <set>

#include "client/client.hpp"
#include "client/core/core.hpp"
#include "common/base/rng.hpp"
#include "common/net/socket.hpp"
#include "common/protocol/codec.hpp"

namespace retire::client {

inline TimePoint now() { return SystemClock::now().monotonic; }

// Without overflow for "as long as it takes".
inline TimePoint after(TimePoint from, Duration timeout) {
  return timeout >= TimePoint::max() - from ? TimePoint::max() : from + timeout;
}

std::string seconds_text(Duration duration);  // as people read it: 0.5, 30

class Client::Impl {
 public:
  explicit Impl(Options options);
  ~Impl();  // says goodbye
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status connect();
  TaskId new_id();

  const Core& core() const { return core_; }
  std::size_t unacknowledged() const { return unacknowledged_ + batch_ids_.size(); }
  std::size_t unacknowledged_bytes() const { return unacknowledged_bytes_ + batch_.bytes(); }
  std::uint64_t next_correlation() { return core_.next_correlation(); }

  // --- Blocking calls.

  // Sends `frame` and waits for its answer, which is then in `answer_`. Returns its body.
  Result<ByteView> call(std::uint64_t correlation, std::string frame, MessageType wanted, Duration timeout,
                        std::vector<TaskId> submits = {});
  // One of the answers for people's programs, which are not looked into here.
  Result<std::string> report(std::uint64_t correlation, std::string frame, MessageType wanted, std::string_view key,
                             Duration timeout);
  Result<std::string> explain(const Why& why, Duration timeout);
  // Asks for something to be done to each of the tasks.
  Result<std::vector<std::optional<bool>>> each(const std::vector<TaskId>& ids, MessageType what, MessageType answer,
                                                Duration timeout);
  template <class Control>
  Status control(const Control& what, Duration timeout) {
    const std::uint64_t correlation = core_.next_correlation();
    std::string frame;
    protocol::encode(frame, correlation, what);
    const Result<ByteView> body = call(correlation, std::move(frame), MessageType::Done, timeout);
    if (!body.ok()) return body.error();
    return ok_status();
  }
  Result<std::vector<TaskResult>> wait(const std::vector<TaskId>& ids, Duration timeout);

  // --- Pipelined.

  TaskId post(const TaskSpec& spec, ByteView payload, ByteView metadata, std::optional<TaskId> id);
  void flush();
  Result<bool> poll(Duration timeout, Events& events);
  void await(const std::vector<TaskId>& ids);
  void forget(const std::vector<TaskId>& ids);

 private:
  // A batch that was accepted, or refused with `error`.
  struct Ended {
    std::vector<TaskId> tasks;
    std::size_t bytes = 0;
    std::optional<Error> error;
    std::optional<std::uint64_t> index;
  };
  // What a blocking wait() has got so far.
  struct Collector {
    std::set<TaskId> missing;
    std::vector<TaskResult> results;
  };

  // --- The connection.

  Status open();
  Error unreachable() const;
  // One turn: time, sending, receiving. Waits up to `timeout` if there is nothing to receive.
  void pump(Duration timeout, Events* events);
  void send();
  bool receive(Events* events, TimePoint moment);
  void on_frame(Events* events, TimePoint moment);
  void on_answer(std::uint64_t correlation, TimePoint moment);
  // What ended since the last time: of the call that waits, or of posted batches, which are told or kept.
  void settle(Events* events);

  // --- A blocking wait().

  Error still_running(const Collector& collector, Duration timeout) const;
  // Tasks that main does not know: an error if the wait is for one of them; the others are told by poll().
  Status check_lost(const Collector& collector);
  // Takes what the wait is for out of a `results` message. True if something else is in it, too.
  bool collect(ByteView body);
  void collect_kept();
  std::string_view device_of(const ResultItem& item) const {
    return item.device ? results_.devices[*item.device] : std::string_view();
  }

  // --- What was posted.

  // The index of an equal spec in the open batch.
  std::uint32_t spec_index(const TaskSpec& spec);
  // A batch is refused as a whole because of one task: those in front of it are posted again, so that a stream of tasks
  // is accepted up to the one to blame.
  void salvage(Core::Failed& failed);
  void tell_ended(Events& events);
  void tell_results(ByteView body, Events& events);
  void tell_kept(Events& events);

  Options options_;
  Rng ids_high_;
  Rng ids_low_;
  net::Context context_;
  std::optional<net::Dealer> dealer_;
  net::Poller poller_;
  Core core_;
  net::Frame frame_;
  Results results_;
  TaskIds unknown_;
  std::deque<net::Frame> kept_frames_;  // results that came during a blocking call
  std::deque<Ended> ended_;             // batches that ended and were not told yet
  std::vector<TaskId> lost_;            // not told yet
  Collector* collector_ = nullptr;      // of a blocking wait()
  bool told_ = false;

  std::uint64_t waiting_for_ = 0;  // the blocking call
  bool answered_ = false;
  net::Frame answer_;
  std::optional<Error> failure_;

  protocol::SubmitBatch batch_;
  std::vector<TaskId> batch_ids_;
  std::vector<std::pair<std::uint32_t, TaskSpec>> batch_specs_;
  std::size_t unacknowledged_ = 0;
  std::size_t unacknowledged_bytes_ = 0;
};

}  // namespace retire::client
