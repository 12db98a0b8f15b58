// Which device may run which task. The one place that decides it; `why` asks the same code.
#pragma once

#include <string>
#include <vector>

#include "common/model/capabilities.hpp"
#include "common/model/reports.hpp"
#include "common/model/task.hpp"

namespace retire::core {

// Whether a device with these capabilities could run this type with these requirements when it is free.
bool matches(const std::string& type, const Requirements& requirements, const Capabilities& capabilities);

// Every requirement that it fails, with what is wanted and what the device has, as JSON text.
std::vector<UnmetRequirement> unmet_requirements(const std::string& type, const Requirements& requirements,
                                                 const Capabilities& capabilities);

// Whether the requirements ask the same of a device (timeouts and retries concern no device).
bool same_demands(const Requirements& a, const Requirements& b);

}  // namespace retire::core
