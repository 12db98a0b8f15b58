// The task types this worker knows: whether it offers them, and how long they run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.hpp"
#include "worker/core/attempt.hpp"

namespace retire::worker {

class TypeTable {
 public:
  // Replaces what is offered. A type keeps its index for as long as the process lives, so that attempts which run on
  // while a plugin goes still mean the same. Bounded by what the plugins of this worker ever offered.
  void offer(const std::vector<std::string>& types);

  // kNone when it is not offered.
  TypeIndex find_offered(std::string_view type) const;
  const std::string& name(TypeIndex type) const { return types_[type].name; }

  // Moving average of run times, in nanoseconds; the newest counts an eighth. Negative: none measured yet.
  double run_ns(TypeIndex type) const { return types_[type].run_ns; }
  void ran(TypeIndex type, std::uint64_t nanoseconds);

  // The slot that was given this type last, kNone at first: its host is warm.
  SlotIndex& last_slot(TypeIndex type) { return types_[type].last_slot; }

 private:
  struct Type {
    std::string name;
    bool offered = false;
    double run_ns = -1;
    SlotIndex last_slot = kNone;
  };
  std::vector<Type> types_;
};

}  // namespace retire::worker
