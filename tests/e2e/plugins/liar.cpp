// A plugin that lies to the agent, by writing over what its host shares with it, and that takes from the machine what
// other hosts need: the payload is a string that says how.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <retire_cluster/plugin_abi.h>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "worker/host/shared_page.hpp"
#include "worker/host/wire.hpp"

namespace {

using namespace retire::host;

[[noreturn]] void stay() {
  for (;;) pause();
}

// Where the host has it; a handler can find it as easily.
SharedPage& page() {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  char line[512];
  while (maps != nullptr && std::fgets(line, sizeof line, maps) != nullptr) {
    if (std::strstr(line, "retire-cluster-host") == nullptr || std::strstr(line, "memfd:") == nullptr) continue;
    std::fclose(maps);
    return *reinterpret_cast<SharedPage*>(std::strtoull(line, nullptr, 16));
  }
  std::abort();
}

void ring_the_bell() {
  const std::uint32_t nothing = 0;
  if (write(kSocketFd, &nothing, sizeof nothing) < 0) std::abort();
}

// Into the ring, as a host writes its results, whether there is room or not.
void write_result(const ResultHeader& from, const std::string& data = {}) {
  SharedPage& shared = page();
  ResultHeader header = from;
  header.data_bytes = static_cast<std::uint32_t>(data.size());
  header.has_data = data.empty() ? 0 : 1;
  header.bytes = static_cast<std::uint32_t>((sizeof header + data.size() + 7) / 8 * 8);
  std::uint64_t written = shared.written.load();
  const std::size_t to_end = kRingBytes - written % kRingBytes;
  if (to_end < header.bytes) {
    std::memset(shared.ring + written % kRingBytes, 0, sizeof(std::uint32_t));
    written += to_end;
  }
  std::memcpy(shared.ring + written % kRingBytes, &header, sizeof header);
  std::memcpy(shared.ring + written % kRingBytes + sizeof header, data.data(), data.size());
  shared.written.store(written + header.bytes);
}

ResultHeader result_of(std::uint64_t sequence, std::uint8_t outcome = 1) {
  ResultHeader header;
  header.sequence = sequence;
  header.outcome = outcome;
  return header;
}

// "I have not begun it, as you took it back."
[[noreturn]] void not_begun() {
  ResultHeader header = result_of(page().running.load());
  header.skipped = 1;
  write_result(header);
  ring_the_bell();
  stay();
}

[[noreturn]] void not_begun_for_ever() {
  ResultHeader header = result_of(page().running.load());
  header.skipped = 1;
  header.bytes = sizeof header;
  ring_the_bell();
  for (SharedPage& shared = page();;) {  // as fast as it goes, and always beyond where the agent reads
    const std::uint64_t written = shared.written.load();
    if (kRingBytes - written % kRingBytes < sizeof header) {
      std::memset(shared.ring + written % kRingBytes, 0, sizeof(std::uint32_t));
      shared.written.store(written + kRingBytes - written % kRingBytes);
      continue;
    }
    std::memcpy(shared.ring + written % kRingBytes, &header, sizeof header);
    shared.written.store(written + sizeof header);
  }
}

[[noreturn]] void ring_for_ever() {
  static const std::vector<char> zeros(1 << 20);
  for (int i = 0; i < 4; ++i) {
    std::thread([] {
      for (;;) [[maybe_unused]] const ssize_t wrote = write(kSocketFd, zeros.data(), zeros.size());
    }).detach();
  }
  stay();
}

// The answer of an attempt that this host was never given, in place of its own; then it dies.
[[noreturn]] void answer_for_another() {
  write_result(result_of(page().running.load() + 1'000'000), "\xc0");
  ring_the_bell();
  std::abort();
}

[[noreturn]] void answer_twice() {
  write_result(result_of(page().running.load()), "\xc0");
  write_result(result_of(page().running.load()), "\xc0");
  ring_the_bell();
  stay();
}

[[noreturn]] void answer_nonsense() {
  ResultHeader header = result_of(page().running.load());
  header.run_ns = UINT64_MAX;
  write_result(header, "\xc1\xff\xfe");
  ring_the_bell();
  _exit(0);
}

[[noreturn]] void scribble(unsigned seed) {
  SharedPage& shared = page();
  std::mt19937_64 random(seed);
  auto* words = reinterpret_cast<std::uint32_t*>(&shared);
  const std::size_t head = offsetof(SharedPage, live) / sizeof(std::uint32_t);
  const std::size_t all = sizeof shared / sizeof(std::uint32_t);
  for (std::uint64_t i = 0;; ++i) {
    const std::uint64_t bits = random();
    const std::size_t at = bits % 4 == 0 ? bits / 4 % all : bits / 4 % (head + 64);
    words[at] = bits % 3 == 0 ? static_cast<std::uint32_t>(random()) : static_cast<std::uint32_t>(random() % 4096);
    if (bits % 7 == 0) write_result(result_of(random() % 64, static_cast<std::uint8_t>(random() % 8)), "\xc0");
    if (i % 64 == 0) {
      const auto size = static_cast<std::uint32_t>(random() % 3 == 0 ? random() % 70'000 : 0);
      send(kSocketFd, &size, sizeof size, MSG_DONTWAIT);
    }
  }
}

// The last end of a connection whose close() waits for a reader that never reads. Whoever lets go of it waits.
[[noreturn]] void hand_over_a_slow_close() {
  // Several at once, as either side may be the last to let go of one. In the midst of a large result, which takes the
  // agent a moment.
  std::vector<std::uint32_t> begun(30'000);
  begun[0] = 16u << 20;
  [[maybe_unused]] const ssize_t wrote = write(kSocketFd, begun.data(), begun.size() * sizeof begun[0]);
  for (int child = 0; child < 16; ++child) {
    if (fork() == 0) break;
    if (child == 15) stay();
  }
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(server, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(server, 1) != 0) std::abort();
  getsockname(server, reinterpret_cast<sockaddr*>(&address), &size);
  const int one = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(one, reinterpret_cast<sockaddr*>(&address), size) != 0) std::abort();
  const linger long_time{1, 600};
  setsockopt(one, SOL_SOCKET, SO_LINGER, &long_time, sizeof long_time);
  static const std::vector<char> much(1 << 20);
  while (send(one, much.data(), much.size(), MSG_DONTWAIT) > 0) {
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof one)] = {};
  std::uint32_t nothing = 0;
  iovec part{&nothing, sizeof nothing};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof one);
  std::memcpy(CMSG_DATA(header), &one, sizeof one);
  const bool sent = sendmsg(kSocketFd, &message, 0) >= 0;
  close(one);
  std::puts(sent ? "sent" : std::strerror(errno));
  std::fflush(stdout);
  stay();
}

// The names by which workers once told each other which users are theirs.
[[noreturn]] void hold_users() {
  for (int child = 0; child < 6; ++child) {
    if (fork() != 0) continue;
    for (int user = 76'800 + child * 700; user < 76'800 + (child + 1) * 700; ++user) {
      const int held = socket(AF_UNIX, SOCK_STREAM, 0);
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      const std::string name = "retire-cluster/user/" + std::to_string(user);
      std::memcpy(address.sun_path + 1, name.data(), name.size());
      [[maybe_unused]] const int bound =
          bind(held, reinterpret_cast<sockaddr*>(&address),
               static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size()));
    }
    std::puts("held");
    std::fflush(stdout);
    stay();
  }
  stay();
}

void leave_shared_memory() {
  const int segment = shmget(IPC_PRIVATE, 1 << 20, 0600);
  if (segment < 0) return;
  void* at = shmat(segment, nullptr, 0);
  std::memset(at, 1, 1 << 20);
}

void lie(const std::string& how) {
  if (how == "not_begun") not_begun();
  if (how == "not_begun_for_ever") not_begun_for_ever();
  if (how == "ring_for_ever") ring_for_ever();
  if (how == "answer_for_another") answer_for_another();
  if (how == "answer_twice") answer_twice();
  if (how == "answer_nonsense") answer_nonsense();
  if (how == "stop_talking") {
    shutdown(kSocketFd, SHUT_WR);
    stay();
  }
  if (how == "stop_listening") {
    shutdown(kSocketFd, SHUT_RD);
    stay();
  }
  if (how.starts_with("scribble:")) scribble(static_cast<unsigned>(std::stoul(how.substr(9))));
  if (how == "slow_close") hand_over_a_slow_close();
  if (how == "hold_users") hold_users();
  if (how == "shared_memory") leave_shared_memory();
}

void* create(const rc_setup*, void (*)(void*, const char*, std::size_t), void*) {
  static char one;
  return &one;
}

int run(void*, rc_bytes payload, const rc_context* context) {
  // A msgpack string: its head has one byte, or two from 32 characters on.
  const std::string text(reinterpret_cast<const char*>(payload.data), payload.size);
  lie(text.empty() ? std::string() : text.substr(static_cast<unsigned char>(text[0]) == 0xd9 ? 2 : 1));
  const std::uint8_t null = 0xc0;
  context->result(context, &null, 1);
  return RC_OK;
}

void destroy(void*) {}

const rc_handler kHandlers[] = {{"lie", "Lies to the agent", 0, nullptr, create, run, destroy},
                                {nullptr, nullptr, 0, nullptr, nullptr, nullptr, nullptr}};
const rc_plugin kPlugin = {RC_PLUGIN_ABI, sizeof(rc_plugin), sizeof(rc_handler), "liar", "1", kHandlers};

}  // namespace

extern "C" RC_PLUGIN_EXPORT const rc_plugin* rc_plugin_get(void) { return &kPlugin; }
