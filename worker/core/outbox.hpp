// Results that main has not acknowledged yet, in the batches they are sent in.
//
// A batch is open while results of one turn gather in it, then closed for good: it is sent, and sent again, as it is.
// The encoded messages are the shell's; here is which attempts they hold, and what is due.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "worker/core/attempt.hpp"

namespace retire::worker {

class Outbox {
 public:
  // Adds a result of about `bytes` to the open batch, after closing it if this one would make it too large, and
  // returns the batch's number, which is its correlation. `attempt` may be kNone: a result of an attempt that is not
  // held. `next` links the attempts of a batch and is the caller's: last_of(batch) is whom to link it to.
  std::uint64_t add(AttemptIndex attempt, std::size_t bytes);
  // Where the attempt that was added last to the open batch is to be linked from; kNone: it is the first.
  AttemptIndex link_from() const { return link_from_; }

  // Closes the open batch, if there is any.
  void close();
  // Main has it. Returns the first of its attempts, linked by Attempt::next; kNone if it has none or is not known.
  // `known` says whether there was such a batch.
  AttemptIndex acknowledged(std::uint64_t batch, bool& known);

  // All that is not acknowledged is to be sent (again).
  void resend_all();
  // Adds to `out` the numbers of those to be sent now, and takes them as sent.
  void take_due(TimePoint now, std::vector<std::uint64_t>& out);
  // It could not be sent: again at `retry_at`.
  void not_sent(std::uint64_t batch, TimePoint retry_at);
  std::optional<TimePoint> next_deadline() const;

  bool empty() const { return batches_.empty(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Batch {
    AttemptIndex head = kNone;
    AttemptIndex tail = kNone;
    std::size_t bytes = 0;
    std::size_t count = 0;
    bool closed = false;
    bool done = false;
    TimePoint due{};  // when it is to be sent (again)
  };
  Batch* find(std::uint64_t number);

  std::deque<Batch> batches_;  // numbered in a row; the last may be open
  std::uint64_t first_number_ = 1;
  AttemptIndex link_from_ = kNone;
  std::size_t bytes_ = 0;
  TimePoint due_next_ = TimePoint::max();  // no later than the earliest `due`; may be earlier
};

}  // namespace retire::worker
