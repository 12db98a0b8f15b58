// The flags that say when a device works.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/config/flags.hpp"
#include "worker/service/duty_watch.hpp"

namespace retire::worker {

struct DutyOptions {
  std::optional<std::string> pause_on_battery;  // "always", "50%" or "50"
  std::vector<std::string> work_hours;
  std::optional<double> max_load;
  std::optional<double> max_temperature;
  // For tests.
  std::string system_root = "/";
  double interval_seconds = 10;
};

// `options` must outlive the parse.
void declare_duty_flags(config::Flags& flags, DutyOptions& options);

// Precondition: they were checked by the parse.
DutyConfig duty_config(const DutyOptions& options);

}  // namespace retire::worker
