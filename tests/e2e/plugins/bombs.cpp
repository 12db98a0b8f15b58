// A plugin that harms whoever runs it: the payload is a string that says how. With RC_QUIET it has no manifest, and so
// may start no process at --sandbox strict; the same bombs, as "quiet_bomb".
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <retire_cluster/plugin_abi.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#ifdef RC_QUIET
#define RC_BOMB "quiet_bomb"
#else
#define RC_BOMB "bomb"
RC_PLUGIN_MANIFEST(R"({"needs": {"subprocess": true}})");
#endif

namespace {

// Deeper than any stack; the room is volatile, so that it is not made a loop.
int deeper(int depth) {
  volatile char room[4096];
  room[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : deeper(depth + 1) + room[0];
}

void ignore_sigterm() { signal(SIGTERM, SIG_IGN); }

[[noreturn]] void stay() {
  ignore_sigterm();
  for (;;) pause();
}

// A daemon by the book: in a session of its own, its parents gone, deaf to SIGTERM.
void daemonise() {
  if (const pid_t child = fork(); child != 0) {
    waitpid(child, nullptr, 0);
    return;
  }
  setsid();
  if (fork() != 0) _exit(0);
  setsid();
  for (int i = 0; i < 3; ++i) close(i);
  stay();
}

void fill_memory() {
  std::vector<std::unique_ptr<char[]>> kept;
  constexpr std::size_t kBlock = std::size_t{16} << 20;
  for (;;) {
    kept.push_back(std::make_unique_for_overwrite<char[]>(kBlock));  // throws at the limit
    std::memset(kept.back().get(), 1, kBlock);
  }
}

void touch_memory(std::size_t bytes, int kind) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);
  if (memory != MAP_FAILED) std::memset(memory, 1, bytes);
}

// Each process is within the limit of one.
[[noreturn]] void fill_memory_together() {
  for (int i = 0; i < 6; ++i) {
    if (fork() != 0) continue;
    touch_memory(std::size_t{100} << 20, MAP_PRIVATE);
    stay();
  }
  stay();
}

// Which RLIMIT_DATA does not count.
void fill_shared_memory() { touch_memory(std::size_t{600} << 20, MAP_SHARED); }

void start_threads() {
  try {
    for (;;) std::thread([] { stay(); }).detach();
  } catch (const std::system_error&) {  // the limit
  }
}

// That never end; no fewer than `count`.
void leave_threads(int count) {
  for (int i = 0; i < count; ++i) std::thread([] { stay(); }).detach();
}

void open_descriptors() {
  while (open("/dev/null", O_RDONLY) >= 0) {
  }
}

[[noreturn]] void fork_for_ever() {
  ignore_sigterm();
  for (;;) {
    if (fork() < 0) usleep(1000);
  }
}

void print(std::uint64_t bytes) {
  const std::string line(65535, 'o');
  for (std::uint64_t done = 0; done < bytes; done += line.size() + 1) std::puts(line.c_str());
  std::fflush(stdout);
}

void litter() {
  for (int i = 0; i < 500; ++i) {
    const std::string name = "left-" + std::to_string(i);
    close(open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  }
}

// A chain of directories, each of this mode in the end.
void dig(const std::string& name, int levels, mode_t mode) {
  int at = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::string next = name;
  for (int i = 0; i < levels && at >= 0; ++i) {
    mkdirat(at, next.c_str(), 0700);
    const int below = openat(at, next.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (i > 0) fchmod(at, mode);
    close(at);
    at = below;
    next = "d";
  }
  if (at < 0) return;
  fchmod(at, mode);
  close(at);
}

// Names that a removal may want for itself, and links that lead out of the directory.
void take_names() {
  for (int i = 0; i < 5; ++i) dig("deep-" + std::to_string(i), 300, 0);
  for (int i = 1; i <= 1'500; ++i) {
    const std::string taken = ".moved-" + std::to_string(i);
    if (i % 2 == 0) {
      if (symlink("..", taken.c_str()) != 0) return;
    } else {
      mkdir(taken.c_str(), 0700);
      mkdir((taken + "/kept").c_str(), 0);
    }
  }
  for (int i = 5; i < 10; ++i) dig("deep-" + std::to_string(i), 300, 0);
}

int explode(const std::string& how, const rc_context* context) {
  if (how == "segfault") raise(SIGSEGV);
  if (how == "abort") std::abort();
  if (how == "exit") std::exit(0);
  if (how == "throw") throw std::runtime_error("through the C interface");
  if (how == "stack") return deeper(0);
  if (how == "loop") {
    ignore_sigterm();
    for (volatile bool on = true; on;) {
    }
  }
  if (how == "daemon" || how == "daemon_crash") daemonise();
  if (how == "daemon_crash") std::abort();
  if (how == "memory") fill_memory();
  if (how == "memory_together") fill_memory_together();
  if (how == "memory_shared") fill_shared_memory();
  if (how == "threads") start_threads();
  if (how.starts_with("threads:")) leave_threads(std::atoi(how.c_str() + 8));
  if (how == "print") std::puts("what another attempt printed");
  if (how == "print") std::fflush(stdout);
  if (how == "descriptors") open_descriptors();
  if (how == "forks") fork_for_ever();
  if (how == "forks_return" && fork() == 0) fork_for_ever();
  if (how.starts_with("output:")) print(std::strtoull(how.c_str() + 7, nullptr, 10) << 20);
  if (how == "files") litter();
  if (how == "deep") dig("deep", 3'000, 0700);
  if (how == "locked") dig("locked", 1'500, 0);
  if (how == "names") take_names();
  if (how == "garbage") {
    const std::uint8_t bytes[] = {0x92, 0x01};
    context->result(context, bytes, sizeof bytes);
    return RC_OK;
  }
  return RC_OK;
}

void* create(const rc_setup* setup, void (*)(void*, const char*, size_t), void*) {
  return const_cast<rc_setup*>(setup);
}
void destroy(void*) {}
int run(void*, rc_bytes payload, const rc_context* context) {
  // A msgpack string of up to 31 bytes.
  return explode(std::string(reinterpret_cast<const char*>(payload.data) + 1, payload.size - 1), context);
}

const rc_handler kHandlers[] = {{RC_BOMB, "Harms whoever runs it", 0, nullptr, create, run, destroy},
                                {nullptr, nullptr, 0, nullptr, nullptr, nullptr, nullptr}};
const rc_plugin kPlugin = {RC_PLUGIN_ABI, sizeof(rc_plugin), sizeof(rc_handler), RC_BOMB "s", "1", kHandlers};

}  // namespace

extern "C" RC_PLUGIN_EXPORT const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
