// A plugin whose constructor crashes, but not when it is probed: it is told apart by the descriptor of the scratch
// directory, which only a host that serves has open by then.
#include <fcntl.h>
#include <signal.h>

#include <retire_cluster/plugin.hpp>

namespace {

const struct Constructed {
  Constructed() {
    if (fcntl(4, F_GETFD) >= 0) raise(SIGSEGV);
  }
} constructed;

}  // namespace

RC_PLUGIN("dies_at_start", "1",
          retire_cluster::handler("dies_at_start", "Never comes so far",
                                  [](const msgpack::object&, retire_cluster::Context&) {
                                    return std::string("alive");
                                  }));
