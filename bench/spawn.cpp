// What starting a process costs at best: posix_spawn of `true`, as many at once as there are slots.
//   rc_bench_spawn SECONDS AT-ONCE
// Prints one line of JSON. Exit 1 if one of them fails.
#include <spawn.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

extern char** environ;

namespace {

using Clock = std::chrono::steady_clock;

void spawn_until(Clock::time_point stop, std::atomic<unsigned long>& count, std::atomic<bool>& failed) {
  char name[] = "true";
  char* arguments[] = {name, nullptr};
  unsigned long mine = 0;
  while (Clock::now() < stop) {
    pid_t pid = -1;
    int status = 0;
    if (posix_spawnp(&pid, name, nullptr, nullptr, arguments, environ) != 0 || waitpid(pid, &status, 0) != pid ||
        status != 0) {
      failed = true;
      return;
    }
    ++mine;
  }
  count += mine;
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 3;
  const int at_once = argc > 2 ? std::atoi(argv[2]) : 1;
  std::atomic<unsigned long> count{0};
  std::atomic<bool> failed{false};
  const auto start = Clock::now();
  const auto stop = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::vector<std::thread> threads;
  for (int i = 0; i < at_once; ++i) threads.emplace_back([&] { spawn_until(stop, count, failed); });
  for (std::thread& thread : threads) thread.join();
  if (failed || count == 0) return std::fputs("spawn: `true` cannot be run\n", stderr), 1;
  std::printf("{\"processes\": %lu, \"seconds\": %.6f}\n", count.load(),
              std::chrono::duration<double>(Clock::now() - start).count());
  return 0;
}
