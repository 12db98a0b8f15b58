// The durable engine: batches in a RocksDB database in the data directory.
//
// Threads: the loop's serialises; the writer makes one batch durable after the other; the reader loads after a restart
// and fetches; the keeper gives space back and watches the disk; the administrator makes backups and verifies. They
// share the disk, which is safe for all, and the ledger, behind a mutex.
#pragma once

#include <memory>

#include "broker/store/ledger.hpp"
#include "broker/store/store.hpp"

namespace rocksdb {
class Env;
}

namespace retire::store {

struct EmbeddedOptions {
  StoreOptions store;
  rocksdb::Env* env = nullptr;  // nullptr: the real disk; must outlive the store
  TidyLimits tidy;
  std::uint64_t drop_bytes_min = std::uint64_t{16} << 20;  // so much is given up at once
  Duration keeper_interval = std::chrono::milliseconds(500);
  std::size_t memtable_bytes = std::size_t{64} << 20;
  bool serve_admin = true;  // answers "retire-cluster store" while it runs
};

Result<std::unique_ptr<Store>> open_embedded(const EmbeddedOptions& options);

}  // namespace retire::store
