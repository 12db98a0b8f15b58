// Small files of the system, below a root that tests replace.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace retire::sensors {

// The first 64 KiB of a file; nullopt if it cannot be read.
std::optional<std::string> read_small_file(const std::filesystem::path& file);
std::vector<std::string_view> lines_of(std::string_view text);
std::vector<std::string_view> words_of(std::string_view line);

}  // namespace retire::sensors
