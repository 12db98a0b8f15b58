// What a small program of the system prints, for what it tells in no file.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.hpp"

namespace retire::sensors {

// The first 64 KiB of its standard output. Nothing if it cannot be started, or has not ended its output within
// `timeout`; then it is killed, with its process group. Waits; for a thread that may.
std::optional<std::string> output_of(const std::filesystem::path& program, std::vector<std::string> arguments,
                                     Duration timeout);

}  // namespace retire::sensors
