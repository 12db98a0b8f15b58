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
  // Replaces what is offered. A type that attempts stand for (`used`, by index; missing ones are not) keeps its index,
  // so that those which run on while a plugin goes still mean the same. What is neither offered nor used is forgotten
  // when there are more than a few of it.
  void offer(const std::vector<std::string>& types, const std::vector<bool>& used);

  // kNone when it is not offered.
  TypeIndex find_offered(std::string_view type) const;
  bool offered(TypeIndex type) const { return types_[type].offered; }
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
  std::size_t place_for_new(const std::vector<bool>& used);

  std::vector<Type> types_;
};

}  // namespace retire::worker
