// Processors, memory and storage, as far as this process may use them. GB are 2^30 bytes.
#pragma once

#include <cstdint>
#include <filesystem>

namespace retire::probe {

// `allowed`: how many the process may run on by its affinity; the limit of its control group, below `root`, may be
// lower. At least 1.
std::uint32_t probe_cpu_count(const std::filesystem::path& root, std::uint32_t allowed);
std::uint32_t allowed_cpus();  // of this process

// The machine's memory, or the limit of the control group if that is lower; 0 if it cannot be told.
double probe_memory_gb(const std::filesystem::path& root);

// The size of the file system that `directory` (or its nearest parent that exists) is on.
double probe_storage_gb(const std::filesystem::path& directory);

}  // namespace retire::probe
