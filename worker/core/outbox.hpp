// Results that main has not acknowledged yet, in the batches they are sent in.
//
// A batch is open while results of one turn gather in it, then closed for good: it is sent, and sent again, as it is.
// The encoded messages are the shell's; here is which attempts they hold, and what is due: to main, and to the disk.
// A batch that main leaves unacknowledged for kSaveAfter is to be saved, and with it all that were closed since, so
// that a main that is away costs one write a second.
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

  // A batch that a former process saved: closed, and on disk already. Its first attempt, linked as by add().
  // Precondition: nothing was added yet. Returns its number.
  std::uint64_t restore(AttemptIndex head, std::size_t bytes);
  // Adds to `out`, in order, the numbers of those to be saved now, and takes them as saved. Starts the time of those
  // that were closed since it was called last.
  void take_unsaved(TimePoint now, std::vector<std::uint64_t>& out);
  // The same for all that are not saved, however young: the process ends.
  void take_all_unsaved(std::vector<std::uint64_t>& out);
  // This one and those after it could not be saved: again at `retry_at`.
  void not_saved(std::uint64_t batch, TimePoint retry_at);
  std::optional<TimePoint> save_deadline() const;

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
    TimePoint due{};                       // when it is to be sent (again)
    TimePoint save_at = TimePoint::max();  // when it is to be saved, unless it is acknowledged before
  };
  Batch* find(std::uint64_t number);
  std::uint64_t end_number() const { return first_number_ + batches_.size(); }

  std::deque<Batch> batches_;  // numbered in a row; the last may be open
  std::uint64_t first_number_ = 1;
  std::uint64_t timed_to_ = 1;  // those below have their save_at
  std::uint64_t saved_to_ = 1;  // those below are saved, or acknowledged
  AttemptIndex link_from_ = kNone;
  std::size_t bytes_ = 0;
  TimePoint due_next_ = TimePoint::max();  // no later than the earliest `due`; may be earlier
};

}  // namespace retire::worker
