// Ranges of addresses as people write them.
#pragma once

#include <string>

namespace retire::worker {

// Whether `text` is an address, or a network with its prefix: "10.0.0.0/8", "192.168.1.7", "fd00::/8".
bool is_cidr(const std::string& text);

}  // namespace retire::worker
