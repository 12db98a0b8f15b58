// sleep: waits {"duration": seconds}, and wakes at once when the attempt is cancelled.
#pragma once

#include <msgpack.hpp>
#include <retire_cluster/context.hpp>

namespace retire::handlers {

inline constexpr double kSleepSecondsMax = 366.0 * 24 * 3600;

struct SleepResult {
  msgpack::object slept_for;  // the duration as it was given
  MSGPACK_DEFINE_MAP(slept_for)
};

class Sleep {
 public:
  SleepResult run(const msgpack::object& payload, retire_cluster::Context& context);
};

}  // namespace retire::handlers
