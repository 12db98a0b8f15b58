// A plugin whose constructor does harm. What, and when, its file's name says: WHEN-HOW.so, with WHEN "probe" or "run"
// as the host's modes, and HOW "hang", "fork", "daemon" or "close". Its handler is called so too.
#include <fcntl.h>
#include <retire_cluster/plugin_abi.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <string>

namespace {

std::array<char, 32> name{};

[[noreturn]] void stay() {
  signal(SIGTERM, SIG_IGN);
  for (;;) pause();
}

void daemonise() {
  if (const pid_t child = fork(); child != 0) {
    waitpid(child, nullptr, 0);
    return;
  }
  setsid();
  if (fork() != 0) _exit(0);
  for (int i = 0; i < 64; ++i) close(i);
  stay();
}

void harm(const std::string& how) {
  if (how == "hang") stay();
  if (how == "fork" && fork() == 0) stay();
  if (how == "daemon") daemonise();
  if (how == "close") {
    for (int i = 0; i < 1024; ++i) close(i);
  }
}

const struct Constructed {
  Constructed() {
    // A host's arguments: its program, --MODE, the plugin's file, and who has started it.
    std::ifstream file("/proc/self/cmdline", std::ios::binary);
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    const std::size_t mode = line.find('\0') + 1;
    const std::size_t path = line.find('\0', mode) + 1;
    const std::string plugin = line.substr(path, line.find('\0', path) - path);
    const std::size_t slash = plugin.rfind('/') + 1;
    const std::string called = plugin.substr(slash, plugin.rfind(".so") - slash);
    called.copy(name.data(), name.size() - 1);
    const std::size_t dash = called.find('-');
    if (line.substr(mode, path - mode - 1) == "--" + called.substr(0, dash)) harm(called.substr(dash + 1));
  }
} constructed;

void* create(const rc_setup* setup, void (*)(void*, const char*, size_t), void*) {
  return const_cast<rc_setup*>(setup);
}
void destroy(void*) {}
int run(void*, rc_bytes, const rc_context*) { return RC_OK; }

const rc_handler kHandlers[] = {{name.data(), "Does no harm, unlike its constructor", 0, nullptr, create, run, destroy},
                                {nullptr, nullptr, 0, nullptr, nullptr, nullptr, nullptr}};
const rc_plugin kPlugin = {RC_PLUGIN_ABI, sizeof(rc_plugin), sizeof(rc_handler), name.data(), "1", kHandlers};

}  // namespace

extern "C" RC_PLUGIN_EXPORT const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
