// Is there a graphics processor that tasks could compute on?
#pragma once

#include <filesystem>

namespace retire::probe {

// An NVIDIA or Mali device file, or a render node whose driver is more than a display of a virtual machine.
bool probe_gpu(const std::filesystem::path& root);

}  // namespace retire::probe
