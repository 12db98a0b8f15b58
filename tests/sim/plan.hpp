// What a simulated task does when it runs: decided by its ID and the seed, never by the system under test.
#pragma once

#include <string>

#include "common/base/rng.hpp"
#include "common/base/time.hpp"
#include "common/model/task.hpp"

namespace retire::sim {

struct Plan {
  Outcome outcome = Outcome::Success;
  Duration run{};
  bool ignores_cancel = false;
  bool hangs = false;
};

// `bad_device`: fails whatever it is given.
inline Plan plan_of(const TaskId& task, std::uint32_t number, bool bad_device, double speed) {
  Rng rng(task.low() * 1'000'003 + number * 31);
  Plan plan;
  const std::uint64_t kind = rng.below(100);
  // Half of the tasks are short, by their type's name too: see World::draw_spec().
  const bool is_short = (task.high() & 1) != 0;
  plan.run = is_short ? Duration(static_cast<std::int64_t>(rng.below(1'500)))
                      : Duration(static_cast<std::int64_t>(10'000 + rng.below(8'000'000)));
  plan.run = Duration(static_cast<std::int64_t>(static_cast<double>(plan.run.count()) / speed));
  if (kind < 8) plan.outcome = Outcome::Failed;
  if (kind >= 8 && kind < 10) plan.outcome = Outcome::FailedPermanently;
  if (kind >= 10 && kind < 14) plan.outcome = Outcome::Crashed;
  if (kind >= 14 && kind < 17) plan.hangs = true;
  plan.ignores_cancel = kind % 3 == 0;
  if (bad_device) {
    plan.outcome = Outcome::Failed;
    plan.hangs = false;
    plan.run = Duration(1'000);
  }
  return plan;
}

}  // namespace retire::sim
