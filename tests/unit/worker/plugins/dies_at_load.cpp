// A plugin that ends its process while it is loaded.
#include <cstdio>
#include <cstdlib>
#include <retire_cluster/plugin.hpp>

namespace {
struct Dies {
  Dies() {
    std::fputs("cannot live here\n", stderr);
    std::_Exit(5);
  }
};
const Dies dies;
}  // namespace

RC_PLUGIN("dies", "1",
          retire_cluster::handler("dies", "", [](const msgpack::object&, retire_cluster::Context&) { return 1; }));
