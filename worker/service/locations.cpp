#include "worker/service/locations.hpp"

#include <system_error>

namespace retire::worker {

Locations find_locations() {
  std::error_code failed;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  const std::filesystem::path prefix = program.parent_path().parent_path();
  return {prefix / "lib/retire-cluster/plugins", prefix / "libexec/retire-cluster/retire-cluster-handler-host"};
}

}  // namespace retire::worker
