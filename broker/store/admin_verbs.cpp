// "retire-cluster store VERB": through the main that runs, or on a store that nobody has open.
#include "broker/store/admin.hpp"
#include "broker/store/disk.hpp"
#include "broker/store/embedded_store.hpp"

namespace retire::store {

Result<std::string> backup_store(const std::string& directory, const std::string& target, bool running) {
  if (running) return ask_main(directory, "backup " + target);
  const Result<std::unique_ptr<Disk>> disk = Disk::open(directory, *rocksdb::Env::Default());
  if (!disk.ok()) return disk.error();
  if (const Status made = disk.value()->checkpoint(target); !made.ok()) return made.error();
  if (const Status closed = disk.value()->close(disk.value()->found().last); !closed.ok()) return closed.error();
  return "backed up into " + target;
}

Result<std::string> verify_store(const std::string& directory, bool running) {
  if (running) return ask_main(directory, "verify");
  const Result<std::unique_ptr<Disk>> disk = Disk::open_read_only(directory, *rocksdb::Env::Default());
  if (!disk.ok()) return disk.error();
  const Disk::Found& found = disk.value()->found();
  const Result<std::uint64_t> records = disk.value()->verify(found.last);
  if (!records.ok()) return records.error();
  return std::to_string(records.value()) + " records up to batch " + std::to_string(found.last) + " are whole" +
         (found.clean ? "" : "; it was not closed in order") +
         (found.dropped_batches > 0 ? "; one batch that was never acknowledged is torn and will be dropped" : "");
}

Result<std::string> compact_store(const std::string& directory, bool running) {
  if (running) return ask_main(directory, "compact");
  const Result<std::unique_ptr<Disk>> disk = Disk::open(directory, *rocksdb::Env::Default());
  if (!disk.ok()) return disk.error();
  const std::uint64_t before = disk.value()->used_bytes();
  if (const Status done = disk.value()->compact(); !done.ok()) return done.error();
  if (const Status closed = disk.value()->close(disk.value()->found().last); !closed.ok()) return closed.error();
  return std::to_string(before) + " bytes before, " + std::to_string(disk.value()->used_bytes()) + " now";
}

}  // namespace retire::store
