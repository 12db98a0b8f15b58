// Method: real cores, real broker, real codec; simulated network, clock, hosts and crashes, one thread. The seed
// decides each delay, loss, duplicate and crash. With faults on, an auditor of its own mind checks every turn of main;
// then the world is healed, and everything owed must arrive.
//   Replay one run: SIM_SEED=42. More: SIM_RUNS=100000. From another seed on: SIM_FIRST=1000000.
// Of fewer than 200 runs it is not asked that they reach every rare path.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "common/logging/logging.hpp"
#include "tests/sim/world.hpp"

namespace retire::sim {
namespace {

std::uint64_t number(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// So many runs reach every rare path; fewer may miss one.
constexpr std::uint64_t kRunsForRarePaths = 200;

volatile std::uint64_t running_seed = 0;

// An assertion ends the process; the seed must not be lost with it.
void name_seed(int /*signal*/) {
  std::fprintf(stderr, "SIM_SEED=%llu\n", static_cast<unsigned long long>(running_seed));
  std::_Exit(134);
}

class Simulation : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::signal(SIGABRT, name_seed);
    logging::start({.program = "sim", .level = logging::Level::Error, .json = false});
  }
};

TEST_F(Simulation, EveryTaskEndsOnceAndEveryRuleHolds) {
  Marks marks;
  const std::uint64_t one = number("SIM_SEED", 0);
  const std::uint64_t first = one != 0 ? one : number("SIM_FIRST", 1);
  const std::uint64_t runs = one != 0 ? 1 : number("SIM_RUNS", kRunsForRarePaths);
  for (std::uint64_t seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE("SIM_SEED=" + std::to_string(seed));
    running_seed = seed;
    World world(seed, marks);
    for (const std::string& wrong : world.run()) ADD_FAILURE() << wrong;
    if (HasFailure()) break;
  }
  std::string reached;
  for (const auto& [path, hits] : marks.all()) reached += "  " + path + ": " + std::to_string(hits) + "\n";
  std::printf("rare paths reached in %llu runs:\n%s", static_cast<unsigned long long>(runs), reached.c_str());
  if (HasFailure()) return;
  if (runs < kRunsForRarePaths) {
    std::printf("whether every rare path was reached is only asked of %llu runs or more\n",
                static_cast<unsigned long long>(kRunsForRarePaths));
    return;
  }
  for (const char* rare : {"message lost",
                           "message delivered twice",
                           "message held up",
                           "message gone with its connection",
                           "connection broken by a message",
                           "main crashed",
                           "main remembered over a restart",
                           "attempt of a former main kept",
                           "payload fetched from the store",
                           "worker crashed",
                           "worker drained",
                           "worker asked to say hello",
                           "queue paused",
                           "attempt lost",
                           "late result",
                           "paused over a restart",
                           "checkpoints handed on",
                           "recall for a higher priority",
                           "two groups wait for one device",
                           "lease expired during a partition",
                           "connection known to be gone",
                           "recall",
                           "recall crossing a start",
                           "recall gave tasks back",
                           "lease expired",
                           "submission repeated across a restart",
                           "submission that main knew",
                           "tasks gone with main, submitted again",
                           "quarantine",
                           "quarantine released",
                           "resource freed by a lost device",
                           "ageing past a higher priority",
                           "cancel crossing a result",
                           "attempts abandoned on return",
                           "at most once and lost",
                           "retry by command",
                           "retry on another device",
                           "set aside as poison",
                           "main frozen",
                           "worker frozen",
                           "worker paused",
                           "worker took work again",
                           "partition of a worker"}) {
    EXPECT_GT(marks.hits(rare), 0u) << rare << " is not simulated any more";
  }
}

TEST_F(Simulation, OneSeedIsOneRun) {  // else no failure can be replayed
  Marks marks;
  std::set<std::uint64_t> traces;
  for (const std::uint64_t seed : {7u, 8u, 9u}) {
    World first(seed, marks);
    first.run();
    World second(seed, marks);
    second.run();
    EXPECT_EQ(first.trace(), second.trace()) << seed;
    traces.insert(first.trace());
  }
  EXPECT_EQ(traces.size(), 3u) << "a trace that does not tell runs apart proves nothing";
}

}  // namespace
}  // namespace retire::sim
