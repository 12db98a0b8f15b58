// One line on a terminal that says how far it is.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>

#include "common/base/time.hpp"

namespace retire::cli {

class ProgressBar {
 public:
  // `out` nullptr: shows nothing.
  ProgressBar(std::ostream* out, TimePoint now) : out_(out), started_(now), shown_(now) {}
  // At most ten times a second. `done` tasks acknowledged; `finished` tasks with a result, if these are waited for.
  void update(TimePoint now, std::uint64_t done, std::optional<std::uint64_t> finished, std::optional<double> part);
  void clear();

 private:
  std::ostream* out_;
  TimePoint started_;
  TimePoint shown_;
  bool visible_ = false;
};

}  // namespace retire::cli
