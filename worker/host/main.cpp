// retire-cluster-handler-host: started by a worker, to run the handlers of one plugin away from it.
//
//   --run FILE PARENT     serve: socket and shared page are descriptors 3 and 4; ends with the process PARENT
//   --probe FILE PARENT   say what FILE offers, on descriptor 3, after reading a setup there
//   --probe FILE          the same for people, on stdout
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "worker/host/host_loop.hpp"
#include "worker/host/probe_mode.hpp"
#include "worker/host/wire.hpp"

namespace {

// Dies with the worker. Asked for by ourselves after exec, so the parent may have gone before: then it is not the same.
bool tie_to_parent(const char* parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  return std::to_string(getppid()) == parent;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace retire::host;
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "--version") {
    std::puts("retire-cluster-handler-host " RC_VERSION);
    return 0;
  }
  if (mode == "--probe" && argc == 3) return probe_plugin_file(argv[2], -1, STDOUT_FILENO);
  if ((mode != "--probe" && mode != "--run") || argc != 4) {
    std::fputs("retire-cluster-handler-host: started by retire-cluster-worker; by hand only: --probe PLUGIN-FILE\n",
               stderr);
    return 2;
  }
  if (!tie_to_parent(argv[3])) return 1;
  // Processes that handlers start do not inherit these.
  fcntl(kSocketFd, F_SETFD, FD_CLOEXEC);
  if (mode == "--probe") return probe_plugin_file(argv[2], kSocketFd, kSocketFd);

  auto page = PageMapping::map(kPageFd);
  if (!page.ok()) {
    std::fprintf(stderr, "%s\n", page.error().detail.c_str());
    return 1;
  }
  // No destructors of plugins: the socket is closed, so nobody waits for anything any more.
  std::_Exit(HostLoop(kSocketFd, page.value().page(), argv[2]).run());
}
