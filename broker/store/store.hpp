// Remembers what main has promised. The scheduler decides; the store only remembers.
//
// Order: records become durable in the order appended. Nothing that reveals a record may be sent before durable() has
// reached its position.
//
// A task is what its records say: Submitted is all of it; the latest of Retried, Requeued and Ended tells everything
// that has changed since, so that the earlier ones are not needed; Dispatched adds the attempt to that.
//
// Threads: all calls from the loop's thread; an engine touches the disk on threads of its own. Ownership: what append()
// is given is copied before it returns; what a visitor is given are views until it returns.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/model/reports.hpp"

namespace retire::store {

// Where a record lies: the number of its batch × 2^26 and its place in it. Grows with each record; 0 is before the
// first. It stays valid until the record is released, over restarts too.
using Position = std::uint64_t;

struct Record {
  enum class Kind : std::uint8_t {
    Submitted = 1,   // a task was accepted: id, spec, payload, metadata, created_at; sequence
    Dispatched = 2,  // an attempt goes to a device: id, device_id, assigned_at; attempt, failures, lost
    Retried = 3,     // another attempt will follow: id, error_history, checkpoint; failures, lost, due. Also to keep a
                     // checkpoint while one runs
    Ended = 4,       // a final state: all of the task's report but what Submitted holds; failures, lost
    Requeued = 5,    // a final task was asked for again: as Retried
    Forgotten = 6,   // the task has expired: id
    Device = 7,      // what main remembers of a device: device_id; device. The last one that is visited counts
    Settings = 8     // what main must know before it does anything: device. The last one counts; settings() has it, no
                     // visitor sees one
  };
  Kind kind = Kind::Submitted;
  TaskReport task;             // of it, what the kind names
  Position of = 0;             // the task's Submitted record; for every kind but Submitted, Device, Settings
  std::uint64_t sequence = 0;  // the task's place in the order of submission
  AttemptId attempt;
  std::uint32_t failures = 0;  // attempts that failed, timed out or crashed
  std::uint32_t lost = 0;      // attempts that ended with their device
  WallTime due{};              // when the next attempt may begin
  ByteView device;             // bytes that the store does not look into
};

// Whether a later record of the task replaces it in the course of things, long before the task is forgotten.
constexpr bool is_passing(Record::Kind kind) {
  return kind == Record::Kind::Dispatched || kind == Record::Kind::Retried || kind == Record::Kind::Requeued;
}

struct Space {
  std::uint64_t used_bytes = 0;  // by the store
  // Left on its disk beside what it holds in memory and has yet to write; the most there is when unknown.
  std::uint64_t free_bytes = 0;
  bool low = false;  // less is free than the store wants to keep: submissions are to be refused
};

// What open found.
struct Opened {
  bool fresh = true;                  // nothing was there
  bool clean = true;                  // the last main shut down in order
  std::uint64_t batches = 0;          // that are kept
  std::uint64_t tasks = 0;            // that began in them; some may have been forgotten
  std::uint64_t dropped_batches = 0;  // never acknowledged, damaged by a power cut: 0 or 1
};

class Store {
 public:
  virtual ~Store() = default;

  // Adds one record to the open batch and returns its position. Never blocks, never touches the disk.
  virtual Position append(const Record& record) = 0;
  // Hands the open batch over to be made durable. Never blocks.
  virtual void submit() = 0;
  // The position up to which everything is durable. Errors: StorageFailed: nothing past the position may be told to
  // anybody any more; main logs why and ends. It stays so: nothing is tried again.
  virtual Result<Position> durable() = 0;
  // A descriptor that becomes readable when durable(), fetched() or recover() has something new; durable() makes it
  // unreadable again. -1 if that never happens by itself.
  virtual int readable() const = 0;
  // Whether a position survives the end of the process.
  virtual bool is_durable() const = 0;
  // Bytes appended and not durable yet. When this grows, the disk is too slow for what comes in: refuse.
  virtual std::size_t backlog_bytes() const = 0;

  // The record is not needed any more, once everything appended so far is durable: a Dispatched or Retried one when a
  // later record of its task replaces it; all of a task's when it is forgotten, just before Forgotten is appended.
  // Forgotten and Settings records and the former ones of a device are looked after by the store itself. A position is
  // released once; what a restart finds and does not need is released then.
  virtual void release(Position position) = 0;

  // Asks for a record that was durable; the answer comes through fetched() with `token`. False: kFetchesMax are under
  // way, ask again when one has come.
  static constexpr std::size_t kFetchesMax = 4'096;
  virtual bool fetch(Position position, std::uint64_t token) = 0;
  // Visits what has come, `max` at most, and returns how many. Errors in place of a record: StorageFailed: damage,
  // named; NotFound: there is none at this position (a mistake of the caller's).
  using Fetched = std::function<void(std::uint64_t token, const Result<const Record*>& record)>;
  virtual std::size_t fetched(std::size_t max, const Fetched& visit) = 0;

  // After a restart, everything kept is visited once, `max` records at most in one call, 0 when none is ready yet.
  // First, in order, the records of the tasks submitted since the lowest unfinished one (Queue); then
  // those before (History: tasks that are nearly always finished). A task's own records always come in order, its
  // Submitted one first; one that comes without (its task was forgotten) is to be released. One call may end the one
  // part and begin the other: during a visit loading() says which part the record is of. Meanwhile everything else here
  // works. Errors: StorageFailed: the store is damaged, named with what to do; main ends.
  enum class Loading : std::uint8_t { Queue, History, Done };
  virtual Loading loading() const = 0;
  using Visit = std::function<void(Position position, const Record& record)>;
  virtual Result<std::size_t> recover(std::size_t max, const Visit& visit) = 0;
  // Tells, during recover(), of the tasks whose records come soon, so that their places in memory can be brought near.
  // An engine that cannot look ahead tells nothing.
  using Coming = std::function<void(const TaskId& id)>;
  virtual void tell_coming(Coming /*coming*/) {}
  // Whether a task of this ID may be among what is to be recovered; false is certain. At once, during loading too.
  virtual bool may_know(const TaskId& id) const = 0;
  virtual Opened opened() const = 0;
  // The bytes of the last Settings record that was durable when the store was opened; empty if there was none.
  virtual std::string settings() const = 0;

  virtual Space space() const = 0;

  // Makes everything appended durable, notes that this was an orderly end, and closes. Blocks; nothing may be called
  // afterwards. A store that is destroyed without it is found as after a crash. Errors: StorageFailed.
  virtual Status close() = 0;
};

struct StoreOptions {
  std::string directory;                                   // of an embedded store
  std::uint64_t reserve_bytes = std::uint64_t{512} << 20;  // low on space when less is free
};

// Remembers nothing: what is appended counts as durable at once, for as long as main runs.
std::unique_ptr<Store> make_memory_store();

// By URL: "memory:", or "embedded" for one in options.directory, which is made. Errors: Configuration, naming the URL
// or the directory; StorageFailed: the store there is damaged, or of a newer program: names what, and what to do.
Result<std::unique_ptr<Store>> open_store(const std::string& url, const StoreOptions& options = {});

}  // namespace retire::store
