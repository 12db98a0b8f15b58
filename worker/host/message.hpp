// Whole messages over a blocking descriptor, for the start of a host; what runs often is in HostLoop.
#pragma once

#include <cstdint>
#include <string>

namespace retire::host {

// A u32 length and that many bytes. False at the end, or when it is longer than `bytes_max`.
bool read_message(int from, std::uint32_t bytes_max, std::string& out);
bool write_all(int to, const std::string& bytes);

}  // namespace retire::host
