// sleep: waits {"duration": seconds}, and wakes at once when the attempt is cancelled.
#pragma once

#include <map>
#include <msgpack.hpp>
#include <retire_cluster/context.hpp>
#include <string_view>

namespace retire::handlers {

inline constexpr double kSleepSecondsMax = 366.0 * 24 * 3600;

class Sleep {
 public:
  // {"slept_for": the duration as it was given}
  std::map<std::string_view, msgpack::object> run(const msgpack::object& payload, retire_cluster::Context& context);
};

}  // namespace retire::handlers
