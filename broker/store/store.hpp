// Remembers what main has promised. The scheduler decides; the store only remembers.
//
// Order: records become durable in the order appended. Nothing that reveals a record may be sent before durable() has
// reached its position.
// Threads: all calls from the loop's thread; an engine touches the disk on a thread of its own. Ownership: what
// append() is given is copied before it returns.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "common/base/ids.hpp"
#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/model/reports.hpp"

namespace retire::store {

// Counts records from 1; 0 is before the first.
using Position = std::uint64_t;

struct Record {
  enum class Kind : std::uint8_t {
    Submitted,   // a task was accepted: all of it
    Dispatched,  // an attempt of an at_most_once task is about to be sent
    Retried,     // an attempt failed, another will follow
    Ended,       // a final state: status and result
    Forgotten    // the task has expired
  };
  Kind kind = Kind::Submitted;
  TaskReport task;  // views, valid until append() returns
};

class Store {
 public:
  virtual ~Store() = default;

  // Adds one record to the open batch and returns its position. Never blocks, never touches the disk.
  virtual Position append(const Record& record) = 0;
  // Hands the open batch over to be made durable. Never blocks.
  virtual void submit() = 0;
  // The position up to which everything is durable. Errors: StorageFailed: nothing past the position may be told to
  // anybody any more; main logs why and ends.
  virtual Result<Position> durable() = 0;
  // A descriptor that becomes readable when durable() has moved; -1 if it never moves by itself.
  virtual int readable() const = 0;
  // Whether a position survives the end of the process.
  virtual bool is_durable() const = 0;
};

// Remembers nothing: what is appended counts as durable at once, for as long as main runs.
std::unique_ptr<Store> make_memory_store();

// By URL: "memory:". Errors: Configuration, naming the URL.
Result<std::unique_ptr<Store>> open_store(const std::string& url);

}  // namespace retire::store
