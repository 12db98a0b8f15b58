// What must be done about an event. The core decides; the shell does it, in this order: append the records, then send.
#pragma once

#include <string>
#include <vector>

#include "broker/core/index.hpp"
#include "broker/core/tasks.hpp"
#include "common/base/ids.hpp"

namespace retire::core {

// What the store must remember. The task itself is read from the core when the record is appended, which happens before
// the next event; a forgotten one is not there any more.
struct Record {
  // Retried: an attempt failed or was lost, and the task waits for the next. Requeued: it was final and was brought
  // back by command.
  enum class Kind : std::uint8_t { Submitted, Dispatched, Retried, Ended, Requeued, Forgotten };
  Kind kind = Kind::Submitted;
  TaskIndex task;
  TaskId id;
  StorePosition of = 0;  // of a forgotten task: where the record of its submission lies
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
  std::vector<std::string> removed_names;
  std::vector<DeviceIndex> devices;     // what the store must remember of them has changed
  std::vector<StorePosition> released;  // records that are not needed any more
  void clear() {
    records.clear();
    assigns.clear();
    recalls.clear();
    stops.clear();
    ended.clear();
    lost.clear();
    removed.clear();
    removed_names.clear();
    devices.clear();
    released.clear();
  }
};

}  // namespace retire::core
