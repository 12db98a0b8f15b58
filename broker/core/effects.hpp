// What must be done about an event. The core decides; the shell does it, in this order: append the records, then send.
#pragma once

#include <vector>

#include "broker/core/index.hpp"
#include "broker/core/tasks.hpp"
#include "common/base/ids.hpp"

namespace retire::core {

// What the store must remember. The task itself is read from the core when the record is appended, which happens before
// the next event; a forgotten one is not there any more.
struct Record {
  enum class Kind : std::uint8_t { Submitted, Dispatched, Retried, Ended, Forgotten };
  Kind kind = Kind::Submitted;
  TaskIndex task;
  TaskId id;
};

struct Effects {
  struct Order {
    DeviceIndex device;
    AttemptId attempt;
  };

  std::vector<Record> records;
  std::vector<AttemptIndex> assigns;  // to be sent to their devices, in this order
  std::vector<Order> recalls;
  std::vector<Order> stops;
  std::vector<TaskIndex> ended;      // whose watchers are told; reveals its record
  std::vector<DeviceIndex> lost;     // devices that were given up: their sessions end
  std::vector<DeviceIndex> removed;  // places that are no device any more: their sessions end
  void clear() {
    records.clear();
    assigns.clear();
    recalls.clear();
    stops.clear();
    ended.clear();
    lost.clear();
    removed.clear();
  }
};

}  // namespace retire::core
