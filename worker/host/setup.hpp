// What every host of a worker is told at its start.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/model/capabilities.hpp"

namespace retire::host {

struct Setup {
  std::string device;    // the capability record, msgpack
  std::string settings;  // {"http_allow": […]}, msgpack
};

Setup make_setup(const Capabilities& device, const std::vector<std::string>& http_allow);

// The body of the first message to a host.
std::string encode_setup(const Setup& setup);
// False if it is not one.
bool decode_setup(std::string_view body, Setup& out);

}  // namespace retire::host
