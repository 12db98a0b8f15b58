// The engine on a simulated disk, with everything small, so that flushes, drops and rewrites happen within a few
// hundred records.
#pragma once

#include <rocksdb/system_clock.h>

#include <algorithm>
#include <memory>
#include <string>

#include "broker/store/embedded_store.hpp"
#include "tests/fault/store/sim_disk.hpp"

namespace retire::store {

// RocksDB sleeps a second after each failure in the background; here nobody waits for it.
class QuickClock final : public rocksdb::SystemClockWrapper {
 public:
  using rocksdb::SystemClockWrapper::SystemClockWrapper;
  const char* Name() const override { return "QuickClock"; }
  void SleepForMicroseconds(int micros) override { target_->SleepForMicroseconds(std::min(micros, 1'000)); }
};

class SimEnv final : public rocksdb::EnvWrapper {
 public:
  explicit SimEnv(const std::shared_ptr<SimDisk>& disk) : rocksdb::EnvWrapper(rocksdb::NewCompositeEnv(disk)) {
    system_clock_ = std::make_shared<QuickClock>(rocksdb::SystemClock::Default());
  }
};

struct Machine {
  explicit Machine(std::uint64_t seed) : disk(std::make_shared<SimDisk>(seed)), env(new SimEnv(disk)) {}

  EmbeddedOptions options() {
    EmbeddedOptions out;
    out.store.directory = "/data/store";
    out.store.reserve_bytes = 0;
    out.env = env;
    out.memtable_bytes = 64 << 10;
    out.drop_bytes_min = 16 << 10;
    out.keeper_interval = std::chrono::milliseconds(1);
    out.serve_admin = false;
    out.tidy.garbage_bytes_min = 16 << 10;
    out.tidy.young_bytes = 8 << 10;
    out.tidy.young_segments = 8;
    out.tidy.small_segments_max = 32;
    out.tidy.small_bytes = 2 << 10;
    out.tidy.run_bytes_max = 16 << 10;
    return out;
  }
  std::unique_ptr<Store> open(std::string& error) {
    Result<std::unique_ptr<Store>> store = open_embedded(options());
    if (!store.ok()) error = store.error().detail;
    return store.ok() ? std::move(store.value()) : nullptr;
  }

  std::shared_ptr<SimDisk> disk;
  rocksdb::Env* env;  // never freed: a database that has failed is left behind, and points to it
};

}  // namespace retire::store
