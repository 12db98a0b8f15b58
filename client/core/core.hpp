// What a client has asked of main and not got yet: deadlines, resending, liveness. Pure: no sockets, clocks, threads,
// files or logs; time and a seed come in, frames to send and requests that ended come out.
//
// A connection begins with hello; requests wait for welcome. When main says that it does not know us (it restarted), or
// is silent for too long, hello is said again and everything outstanding is sent again as the same bytes: task IDs are
// the client's own, so main tells a repetition from a new submission. Results that were lost with the connection are
// asked for again by `wait`.
//
// Threads: one. Time: `now` never goes backwards.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/core/id_set.hpp"
#include "common/base/result.hpp"
#include "common/base/rng.hpp"
#include "common/base/time.hpp"
#include "common/model/messages.hpp"

namespace retire::client {

struct CoreSettings {
  std::string program;  // name and version
  InstanceId instance;  // random, of this process
};

class Core {
 public:
  // One request. `frame` is kept until it is answered.
  struct Request {
    std::string frame;
    TimePoint deadline;                     // TimePoint::max(): none
    std::vector<TaskId> tasks;              // of a submission
    std::optional<TimePoint> asleep_until;  // main was busy
    bool repeated = false;                  // sent more than once
    bool internal = false;                  // a `wait` of the core's own
  };
  struct Failed {
    std::uint64_t correlation = 0;
    Request request;
    Error error;
    std::optional<std::uint64_t> index;  // of the item that was refused
  };

  // Says hello at once.
  Core(CoreSettings settings, std::uint64_t seed, TimePoint now);

  // --- What is wanted.

  // The number for the next request, to be put into its frame.
  std::uint64_t next_correlation() { return ++correlation_; }
  void request(std::uint64_t correlation, std::string frame, TimePoint deadline, TimePoint now);
  // A submission of `tasks`; if it was made with `notify`, their results are awaited until on_result() or a failure.
  void submit(std::uint64_t correlation, std::string frame, std::vector<TaskId> tasks, bool notify, TimePoint deadline,
              TimePoint now);
  // Results of tasks that were submitted some time, by anybody. Unknown ones come out in take_lost().
  void await(const std::vector<TaskId>& tasks, TimePoint now);
  // Nobody waits for them any more.
  void forget(const std::vector<TaskId>& tasks, TimePoint now);

  // --- What happens.

  void on_heard(TimePoint now) { last_heard_ = now; }  // any message of main
  void on_welcome(std::uint64_t correlation, const Welcome& welcome, TimePoint now);
  void on_error(std::uint64_t correlation, const ErrorReply& error, TimePoint now);
  // An answer came. Returns the request, which is done with; nullopt if nobody waits for it any more.
  std::optional<Request> on_answer(std::uint64_t correlation, TimePoint now);
  // `unknown` are the tasks that main does not know; to be called after on_answer().
  void on_waiting(const std::vector<TaskId>& unknown);
  // True if the result of this task is awaited: the first time only.
  bool on_result(const TaskId& task) { return awaited_.erase(task); }
  // Nothing happened, but time has passed.
  void on_time(TimePoint now);

  // When on_time() is due; TimePoint::max(): not before something happens.
  TimePoint next_time() const;

  // --- What must be done.

  // The frames to send, in order; what the socket does not take yet is put back.
  bool has_frame() const { return !outbox_.empty(); }
  std::string take_frame();
  void put_back(std::string frame) { outbox_.push_front(std::move(frame)); }
  // True once if the connection is to be made anew.
  bool take_reconnect() { return std::exchange(reconnect_, false); }
  std::vector<Failed> take_failed() { return std::exchange(failed_, {}); }
  bool has_failed() const { return !failed_.empty(); }
  std::vector<TaskId> take_lost() { return std::exchange(lost_, {}); }
  bool has_lost() const { return !lost_.empty(); }

  // --- How it stands.

  bool ready() const { return state_ == State::Ready; }
  const std::optional<Welcome>& welcome() const { return welcome_; }
  // The refusal of hello itself (no version in common, not let in): everything fails with it.
  const std::optional<Error>& refused() const { return refused_; }
  std::size_t outstanding() const { return requests_.size(); }
  std::size_t awaited() const { return awaited_.size(); }
  bool is_awaited(const TaskId& task) const { return awaited_.contains(task); }

 private:
  enum class State : std::uint8_t { Greeting, Ready, Apart };  // Apart: between two connections

  void say_hello(TimePoint now);
  void send_everything(TimePoint now);
  void send_wait(const std::vector<TaskId>& tasks, TimePoint now);
  void add(std::uint64_t correlation, Request request, TimePoint now);
  void send(const Request& request) { outbox_.push_back(request.frame); }
  void fail(std::uint64_t correlation, Error error, std::optional<std::uint64_t> index);
  void fail_all(const Error& error);
  void expire(TimePoint now);
  void wake(TimePoint now);
  void watch_liveness(TimePoint now);
  void part(TimePoint now);
  bool something_is_owed() const { return !requests_.empty() || awaited_.size() > 0; }
  Duration jittered(Duration full);
  Duration probe_after() const;

  CoreSettings settings_;
  Rng rng_;
  State state_ = State::Greeting;
  std::uint64_t correlation_ = 0;
  std::uint64_t hello_correlation_ = 0;
  std::optional<Welcome> welcome_;
  std::optional<Error> refused_;
  std::map<std::uint64_t, Request> requests_;  // in the order made, which is the order of sending again
  IdSet awaited_;
  std::deque<std::string> outbox_;
  std::vector<Failed> failed_;
  std::vector<TaskId> lost_;
  TimePoint last_heard_;
  TimePoint last_probe_;
  TimePoint greeted_at_;
  TimePoint apart_until_;
  int partings_ = 0;                     // in a row, without a welcome
  TimePoint expiry_ = TimePoint::max();  // no deadline is earlier
  TimePoint waking_ = TimePoint::max();  // no sleeper wakes earlier
  bool reconnect_ = false;
};

}  // namespace retire::client
