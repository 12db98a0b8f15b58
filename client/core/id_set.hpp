// A set of task IDs for the hot path: open addressing, no allocation but to grow.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/ids.hpp"

namespace retire::client {

// The nil UUID marks an empty place and cannot be a member. The order of each() depends on nothing but the calls made.
class IdSet {
 public:
  // False if it was there already, or is nil.
  bool insert(const TaskId& id) {
    if (!id) return false;
    if (2 * (size_ + 1) > places_.size()) grow();
    std::size_t at = home(id);
    while (places_[at]) {
      if (places_[at] == id) return false;
      at = (at + 1) & mask();
    }
    places_[at] = id;
    ++size_;
    return true;
  }

  // False if it was not there.
  bool erase(const TaskId& id) {
    if (size_ == 0) return false;
    std::size_t at = home(id);
    while (places_[at] != id) {
      if (!places_[at]) return false;
      at = (at + 1) & mask();
    }
    // Moves up what would not be found any more behind the hole (Knuth, TAOCP 3, 6.4, algorithm R).
    std::size_t hole = at;
    for (;;) {
      at = (at + 1) & mask();
      if (!places_[at]) break;
      const std::size_t want = home(places_[at]);
      if (((at - want) & mask()) >= ((at - hole) & mask())) {
        places_[hole] = places_[at];
        hole = at;
      }
    }
    places_[hole] = TaskId();
    --size_;
    return true;
  }

  bool contains(const TaskId& id) const {
    if (size_ == 0 || !id) return false;
    for (std::size_t at = home(id); places_[at]; at = (at + 1) & mask()) {
      if (places_[at] == id) return true;
    }
    return false;
  }

  std::size_t size() const { return size_; }

  template <class Visit>
  void each(Visit visit) const {
    for (const TaskId& id : places_) {
      if (id) visit(id);
    }
  }

 private:
  static constexpr std::size_t kPlacesMin = 64;

  std::size_t mask() const { return places_.size() - 1; }
  std::size_t home(const TaskId& id) const {
    // Our own IDs are random; those of others are mixed, so that counted-up ones do not gather.
    const std::uint64_t mixed = (id.high() ^ (id.low() * 0x9e3779b97f4a7c15ull)) * 0xff51afd7ed558ccdull;
    return static_cast<std::size_t>(mixed >> 32) & mask();
  }
  void grow() {
    std::vector<TaskId> old(places_.empty() ? kPlacesMin : 2 * places_.size());
    old.swap(places_);
    size_ = 0;
    for (const TaskId& id : old) insert(id);
  }

  std::vector<TaskId> places_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace retire::client
