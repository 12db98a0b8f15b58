// A client's question whose answer lies in the store.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "broker/service/broker.hpp"

namespace retire::service {

struct Broker::Read {
  core::Watcher client = 0;
  std::uint64_t correlation = 0;
  std::optional<Get> get;   // otherwise results are pushed
  std::vector<TaskId> ids;  // of the tasks, those before `next` are done
  std::size_t next = 0;
  std::size_t outstanding = 0;  // records asked for that have not come
  std::size_t bytes = 0;        // of this step
  int tries = 0;                // of this step: a task may change while its record is read
  std::optional<Error> failed;
  std::unordered_map<store::Position, StoredBytes> records;
};

}  // namespace retire::service
