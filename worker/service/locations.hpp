// Where the installed parts are, relative to this program: the build tree and an installation look alike.
#pragma once

#include <filesystem>

namespace retire::worker {

struct Locations {
  std::filesystem::path plugins;       // ../lib/retire-cluster/plugins
  std::filesystem::path handler_host;  // ../libexec/retire-cluster/retire-cluster-handler-host
};

// From the path of the running program.
Locations find_locations();

}  // namespace retire::worker
