// retire-cluster-handler-host: started by a worker, to run the handlers of one plugin away from it.
//
//   --run FILE PARENT     serve: socket, shared page and plugin are descriptors 3, 4 and 5; ends with the process
//   PARENT
//   --probe FILE PARENT   say what the plugin on descriptor 5, called FILE, offers, on descriptor 3, after reading a
//                         policy and a setup there
//   --terms FILE PARENT   say what the hosts of that plugin are to be given, without running any of its code
//   --check PARENT        say what of the policy read there this machine can do, a line for each feature
//   --probe FILE          what FILE offers for people, on stdout, without a sandbox
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

#include "worker/host/host_loop.hpp"
#include "worker/host/message.hpp"
#include "worker/host/probe_mode.hpp"
#include "worker/host/supervisor.hpp"
#include "worker/host/wire.hpp"
#include "worker/sandbox/enter.hpp"

namespace {

using namespace retire::host;

constexpr std::string_view kUsage =
    "retire-cluster-handler-host: started by retire-cluster-worker; by hand only: --probe PLUGIN-FILE\n";

int serve(const char* file, const retire::sandbox::Policy& policy) {
  auto page = PageMapping::map(kPageFd);
  if (!page.ok()) {
    std::fprintf(stderr, "%s\n", page.error().detail.c_str());
    return 1;
  }
  return HostLoop(kSocketFd, page.value().page(), file, policy).run();
}

int check(const retire::sandbox::Policy& policy) {
  std::string text;
  for (const std::string& line : retire::sandbox::inspect(policy)) text += line + '\n';
  return write_all(kSocketFd, text) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "--version") {
    std::puts("retire-cluster-handler-host " RC_VERSION);
    return 0;
  }
  if (mode == "--probe" && argc == 3) {
    const int image = open(argv[2], O_RDONLY | O_CLOEXEC);
    if (image < 0) std::fprintf(stderr, "%s: %s\n", argv[2], std::strerror(errno));
    return image < 0 ? 1 : probe_plugin_file(argv[2], image, -1, STDOUT_FILENO);
  }
  const bool known =
      mode == "--check" ? argc == 3 : (mode == "--probe" || mode == "--terms" || mode == "--run") && argc == 4;
  if (!known) {
    std::fwrite(kUsage.data(), 1, kUsage.size(), stderr);
    return 2;
  }
  const char* file = argv[2];
  std::string encoded;
  retire::sandbox::Policy policy;
  if (!read_message(kSocketFd, kPolicyBytesMax, encoded) || !retire::sandbox::decode(encoded, policy)) return 1;
  // Processes that handlers start do not inherit these.
  for (const int descriptor : {kSocketFd, kReportFd, kUserLockFd, kGroupFd}) fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  fcntl(kPluginFd, F_SETFD, FD_CLOEXEC);
  supervise(policy, kReportFd, argv[argc - 1], [&](const retire::sandbox::Policy& here) {
    if (mode == "--check") return check(here);
    if (mode == "--probe") return probe_plugin_file(file, kPluginFd, kSocketFd, kSocketFd, here);
    if (mode == "--terms") return read_plugin_terms(file, kPluginFd, kSocketFd);
    return serve(file, here);
  });
}
