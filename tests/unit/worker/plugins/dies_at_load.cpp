// A plugin that ends its process while it is loaded, with last words that are others each time.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <retire_cluster/plugin.hpp>

namespace {
struct Dies {
  Dies() {
    std::fprintf(stderr, "cannot live here, says %d\n", static_cast<int>(getpid()));
    std::_Exit(5);
  }
};
const Dies dies;
}  // namespace

RC_PLUGIN("dies", "1",
          retire_cluster::handler("dies", "", [](const msgpack::object&, retire_cluster::Context&) { return 1; }));
