// What the scheduler itself costs, without sockets, store and processes (Google Benchmark):
//   task/DEVICES/QUEUED/CLASSES  one task, submit through finish, while the queue keeps its length
//   why/DEVICES/QUEUED/CLASSES   `why` on a waiting task drawn at random
//   memory/QUEUED/CLASSES        growth of resident memory for each queued task, besides its payload
// bench/run.sh scheduler runs it and gives medians.
#include <benchmark/benchmark.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>

#include "bench/core_load.hpp"

namespace retire::bench {
namespace {

LoadShape shape_of(const benchmark::State& state) {
  return {static_cast<std::uint32_t>(state.range(0)), static_cast<std::uint32_t>(state.range(1)),
          static_cast<std::uint32_t>(state.range(2))};
}

// A million tasks take a while to queue, and the library calls a benchmark several times: the latest load is kept.
CoreLoad& load_of(const LoadShape& shape) {
  static LoadShape kept_shape;
  static std::unique_ptr<CoreLoad> kept;
  if (kept == nullptr || kept_shape != shape) {
    kept.reset();
    malloc_trim(0);
    kept = std::make_unique<CoreLoad>(shape);
    kept_shape = shape;
    kept->fill();
    kept->warm_up();
    kept->check();
  }
  return *kept;
}

void task(benchmark::State& state) {
  CoreLoad& load = load_of(shape_of(state));
  std::int64_t tasks = 0;
  for ([[maybe_unused]] auto _ : state) tasks += load.round();
  state.SetItemsProcessed(tasks);
  state.counters["us_per_task"] =
      benchmark::Counter(static_cast<double>(tasks) / 1e6, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  load.check();
}

void why(benchmark::State& state) {
  CoreLoad& load = load_of(shape_of(state));
  double worst = 0;
  for ([[maybe_unused]] auto _ : state) {
    state.PauseTiming();
    const core::TaskIndex place = load.waiting_task();
    state.ResumeTiming();
    const auto start = std::chrono::steady_clock::now();
    const Explanation explanation = load.scheduler().explain(place);
    worst = std::max(worst, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    RC_ASSERT(explanation.reason == "devices_busy" && explanation.position > 0);
  }
  state.counters["worst_ms"] = worst * 1e3;
}

// What the system gave this process: the overhead of malloc and of huge pages is in it.
std::size_t resident_bytes() {
  malloc_trim(0);
  std::size_t total = 0;
  std::size_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  RC_ASSERT(resident > 0);
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void memory(benchmark::State& state) {
  const LoadShape shape{10, static_cast<std::uint32_t>(state.range(0)), static_cast<std::uint32_t>(state.range(1))};
  double bytes = 0;
  for ([[maybe_unused]] auto _ : state) {
    CoreLoad load(shape);
    const std::size_t before = resident_bytes();
    load.fill();
    bytes = static_cast<double>(resident_bytes() - before) / shape.queued - static_cast<double>(kPayloadBytes);
  }
  state.counters["bytes_per_task"] = bytes;
}

BENCHMARK(task)
    ->ArgNames({"devices", "queued", "classes"})
    ->ArgsProduct({{10, 1'000, 10'000}, {1'000, 1'000'000}, {1, 100, 1'000}})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(why)
    ->ArgNames({"devices", "queued", "classes"})
    ->ArgsProduct({{10, 10'000}, {1'000'000}, {100, 1'000}})
    ->Unit(benchmark::kMillisecond);
BENCHMARK(memory)
    ->ArgNames({"queued", "classes"})
    ->ArgsProduct({{1'000'000}, {1, 100, 1'000}})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace retire::bench

BENCHMARK_MAIN();
