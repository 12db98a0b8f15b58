// How hot the device is, and how much it does.
#pragma once

#include <filesystem>
#include <optional>

namespace retire::sensors {

// In °C, the hottest of the processor's sensors below `root`/sys; of all sensors if none says that it is the
// processor's. Nothing where the system does not tell.
std::optional<double> read_temperature(const std::filesystem::path& root);

// The load average over the last minute.
std::optional<double> read_load(const std::filesystem::path& root);

}  // namespace retire::sensors
