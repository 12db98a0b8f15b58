// What the embedded store costs alone: records appended, made durable and waited for, by records in a batch; and how
// fast everything is read again after a restart. On the disk of $TMPDIR.
#include <benchmark/benchmark.h>
#include <poll.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

#include "broker/store/embedded_store.hpp"

namespace retire::store {
namespace {

class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "rc-bench-store-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  std::string store() const { return path_ + "/store"; }

 private:
  std::string path_;
};

std::unique_ptr<Store> open(const Directory& directory) {
  EmbeddedOptions options;
  options.store.directory = directory.store();
  return std::move(open_embedded(options)).value();
}

void wait(Store& store) {
  pollfd descriptor{store.readable(), POLLIN, 0};
  ::poll(&descriptor, 1, 1'000);
}

Position append(Store& store, std::uint64_t n) {
  static const TaskSpec spec{"echo", Priority::Normal, {}, ""};
  static const std::string payload(64, 'x');
  Record record;
  record.task.id = TaskId(n * 0x9e3779b97f4a7c15, n);
  record.task.spec = &spec;
  record.task.payload = payload;
  record.sequence = n;
  return store.append(record);
}

void Durable(benchmark::State& state) {
  const Directory directory;
  const auto store = open(directory);
  std::uint64_t n = 0;
  for (auto _ : state) {
    Position last = 0;
    for (std::int64_t i = 0; i < state.range(0); ++i) last = append(*store, ++n);
    store->submit();
    while (store->durable().value() < last) wait(*store);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(n));
}
BENCHMARK(Durable)->Arg(1)->Arg(64)->Arg(1'024)->UseRealTime();

void Recovery(benchmark::State& state) {
  const Directory directory;
  const std::uint64_t records = 1'000'000;
  {
    const auto store = open(directory);
    for (std::uint64_t n = 1; n <= records; ++n) {
      append(*store, n);
      if (n % 512 == 0) store->submit();
    }
    if (!store->close().ok()) return state.SkipWithError("the store cannot be closed");
  }
  std::uint64_t read = 0;
  for (auto _ : state) {
    const auto store = open(directory);
    while (store->loading() != Store::Loading::Done) {
      const Result<std::size_t> some = store->recover(10'000, [&](Position, const Record&) { ++read; });
      if (!some.ok() || !store->durable().ok()) return state.SkipWithError("the store cannot be read");
      if (some.value() == 0) wait(*store);
    }
    if (!store->close().ok()) return state.SkipWithError("the store cannot be closed");
  }
  if (read % records != 0) return state.SkipWithError("records are missing");
  state.SetItemsProcessed(static_cast<std::int64_t>(read));
}
BENCHMARK(Recovery)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace retire::store

BENCHMARK_MAIN();
