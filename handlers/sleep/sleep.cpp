#include "handlers/sleep/sleep.hpp"

#include <retire_cluster/payload.hpp>

namespace retire::handlers {

namespace rc = retire_cluster;

SleepResult Sleep::run(const msgpack::object& payload, rc::Context& context) {
  const rc::Fields fields(payload, {"duration"});
  const double seconds = fields.number("duration", 0, kSleepSecondsMax);
  if (seconds > 0 ? context.wait(seconds) : context.cancelled()) throw rc::Cancelled();
  return {fields.value("duration")};
}

}  // namespace retire::handlers
