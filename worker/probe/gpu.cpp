#include "worker/probe/gpu.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <system_error>

namespace retire::probe {
namespace {

// Drivers that only show pictures.
constexpr std::array<std::string_view, 9> kDisplayOnly = {"vgem", "virtio_gpu", "virtio-pci", "bochs-drm", "cirrus",
                                                          "vkms", "simpledrm",  "hyperv_drm", "vmwgfx"};

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool probe_gpu(const std::filesystem::path& root) {
  std::error_code failed;
  for (std::filesystem::directory_iterator entry(root / "dev", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename();
    if (name.starts_with("nvidia") && all_digits(std::string_view(name).substr(6))) return true;
    if (name.starts_with("mali") && all_digits(std::string_view(name).substr(4))) return true;
    if (name == "kgsl-3d0") return true;  // Adreno
  }
  failed.clear();
  for (std::filesystem::directory_iterator entry(root / "dev/dri", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename();
    if (!name.starts_with("renderD")) continue;
    std::error_code none;
    const std::filesystem::path driver =
        std::filesystem::read_symlink(root / "sys/class/drm" / name / "device/driver", none).filename();
    if (none || driver.empty()) continue;
    if (std::find(kDisplayOnly.begin(), kDisplayOnly.end(), driver.native()) == kDisplayOnly.end()) return true;
  }
  return false;
}

}  // namespace retire::probe
