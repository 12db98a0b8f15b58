// The device's capabilities, for people and for programs.
#pragma once

#include <string>

#include "common/model/capabilities.hpp"

namespace retire::worker {

std::string device_json(const Capabilities& device);  // one document, with a line break
std::string device_text(const Capabilities& device);  // a line for each capability

}  // namespace retire::worker
