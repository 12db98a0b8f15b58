// Names of the processor and the system, on Linux and Android.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "common/base/time.hpp"

namespace retire::sensors {

// What `getprop` prints, "[ro.product.model]: [Pixel 6]" a line.
std::map<std::string, std::string, std::less<>> parse_getprop(std::string_view text);

// Android's properties: from `root`/system/bin/getprop (given `timeout`), else from `root`/system/build.prop. Empty
// on other systems.
std::map<std::string, std::string, std::less<>> android_properties(const std::filesystem::path& root, Duration timeout);

// As its maker calls it, e.g. "Intel(R) Core(TM) i5-4300U CPU @ 1.90GHz" or "Google Tensor"; of boards often the
// board's. Empty if nothing tells.
std::string read_cpu_model(const std::filesystem::path& root,
                           const std::map<std::string, std::string, std::less<>>& android);

// What the whole machine is called, e.g. "Google Pixel 6", "LENOVO 20AMS0CX00" or "Raspberry Pi 4 Model B Rev 1.4";
// empty if nothing tells.
std::string read_machine_model(const std::filesystem::path& root,
                               const std::map<std::string, std::string, std::less<>>& android);

}  // namespace retire::sensors
