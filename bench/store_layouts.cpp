// Ways to lay main's records out in RocksDB, beside each other in one run: one value for each batch or a key for each
// record, in one column family or with results in one of their own. The pattern is main's: a batch has N tasks that are
// submitted and N that end, and is fsynced before the next one; then everything is read again. On the disk of $TMPDIR.
//
//   rc_bench_store_layouts [ROUNDS [BATCHES]]    rounds over the layouts in turn, so many batches of each in each
#include <rocksdb/db.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <stdlib.h>
#include <time.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "broker/store/record_codec.hpp"

namespace retire::store {
namespace {

struct Layout {
  const char* name;
  bool key_per_record;
  bool two_families;
};
constexpr std::array<Layout, 4> kLayouts = {{{"value per batch, one family", false, false},
                                             {"value per batch, two families", false, true},
                                             {"key per record, one family", true, false},
                                             {"key per record, two families", true, true}}};

double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

struct Cost {
  double wall = 0;
  double cpu = 0;
  std::uint64_t records = 0;

  template <class Work>
  void add(std::uint64_t count, const Work& work) {
    const double wall_before = wall_seconds();
    const double cpu_before = cpu_seconds();
    work();
    wall += wall_seconds() - wall_before;
    cpu += cpu_seconds() - cpu_before;
    records += count;
  }
};

class Database {
 public:
  Database(std::string directory, const Layout& layout) : directory_(std::move(directory)), layout_(layout) { open(); }
  ~Database() {
    if (db_) close();
    std::filesystem::remove_all(directory_);
  }

  // Records as main's store encodes them; a key is the task's sequence and the kind of the record.
  void write_batch(std::uint64_t per_batch) {
    static const TaskSpec spec{"echo", Priority::Normal, {}, ""};
    static const std::string payload(64, 'x');
    rocksdb::WriteBatch batch;
    std::array<std::string, 2> values;
    for (std::uint64_t i = 0; i < 2 * per_batch; ++i) {
      const bool ends = i >= per_batch;
      const std::uint64_t n = ends ? ended_++ : submitted_++;
      Record record;
      record.kind = ends ? Record::Kind::Ended : Record::Kind::Submitted;
      record.task.id = TaskId(n * 0x9e3779b97f4a7c15, n);
      record.task.spec = &spec;
      record.task.payload = payload;
      record.task.status = TaskStatus::Success;
      record.task.device_id = "an-old-phone";
      if (ends) record.task.result_data = payload;
      record.of = ends ? n : 0;
      record.sequence = n;
      std::string& value = values.at(ends && layout_.two_families ? 1 : 0);
      if (layout_.key_per_record) value.clear();
      encode_record(record, n + 1, 0, value);
      if (layout_.key_per_record) batch.Put(family(ends), key(n, ends), value);
    }
    if (!layout_.key_per_record) {
      ++batches_;
      batch.Put(family(false), key(batches_, false), values[0]);
      if (layout_.two_families) batch.Put(family(true), key(batches_, false), values[1]);
    }
    rocksdb::WriteOptions options;
    options.sync = true;
    check(db_->Write(options, &batch));
  }

  // Everything once, as a restart does it, with nothing in the block cache. Returns the bytes.
  std::uint64_t read_all() {
    std::uint64_t bytes = 0;
    rocksdb::ReadOptions options;
    options.readahead_size = std::size_t{2} << 20;
    for (rocksdb::ColumnFamilyHandle* handle : handles_) {
      const std::unique_ptr<rocksdb::Iterator> at(db_->NewIterator(options, handle));
      for (at->SeekToFirst(); at->Valid(); at->Next()) bytes += at->value().size();
      check(at->status());
    }
    return bytes;
  }
  void reopen() {
    close();
    open();
  }
  std::uint64_t bytes_on_disk() const {
    std::uint64_t sum = 0;
    for (const auto& file : std::filesystem::directory_iterator(directory_)) sum += file.file_size();
    return sum;
  }

 private:
  static void check(const rocksdb::Status& status) {
    if (status.ok()) return;
    std::fprintf(stderr, "rc_bench_store_layouts: %s\n", status.ToString().c_str());
    std::exit(1);
  }
  static std::string key(std::uint64_t number, bool ends) {
    std::string out(9, ends ? '\1' : '\0');
    const std::uint64_t swapped = __builtin_bswap64(number);
    std::memcpy(out.data(), &swapped, sizeof swapped);
    return out;
  }
  rocksdb::ColumnFamilyHandle* family(bool ends) const { return handles_[ends && layout_.two_families ? 1 : 0]; }

  void open() {
    rocksdb::DBOptions options;
    options.create_if_missing = options.create_missing_column_families = true;
    options.atomic_flush = true;
    options.max_background_jobs = 2;
    options.bytes_per_sync = std::uint64_t{1} << 20;
    rocksdb::BlockBasedTableOptions table;
    table.block_size = std::size_t{64} << 10;
    rocksdb::ColumnFamilyOptions of_family;
    of_family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    of_family.compression = rocksdb::kNoCompression;
    of_family.write_buffer_size = std::size_t{64} << 20;
    of_family.max_write_buffer_number = 4;
    std::vector<rocksdb::ColumnFamilyDescriptor> families = {{rocksdb::kDefaultColumnFamilyName, of_family}};
    if (layout_.two_families) families.emplace_back("results", of_family);
    rocksdb::DB* db = nullptr;
    check(rocksdb::DB::Open(options, directory_, families, &handles_, &db));
    db_.reset(db);
  }
  void close() {
    for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
    handles_.clear();
    check(db_->Close());
    db_.reset();
  }

  std::string directory_;
  Layout layout_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;
  std::uint64_t submitted_ = 0;
  std::uint64_t ended_ = 0;
  std::uint64_t batches_ = 0;
};

void run(std::uint64_t rounds, std::uint64_t batches) {
  std::string base = (std::filesystem::temp_directory_path() / "rc-bench-layouts-XXXXXX").string();
  if (::mkdtemp(base.data()) == nullptr) std::exit(1);
  for (const std::uint64_t per_batch : {1u, 64u, 1'024u}) {
    std::array<Cost, kLayouts.size()> written;
    std::array<Cost, kLayouts.size()> read;
    std::array<std::unique_ptr<Database>, kLayouts.size()> databases;
    for (std::size_t i = 0; i < kLayouts.size(); ++i) {
      databases.at(i) = std::make_unique<Database>(base + "/" + std::to_string(i), kLayouts.at(i));
    }
    for (std::uint64_t round = 0; round < rounds; ++round) {
      for (std::size_t i = 0; i < kLayouts.size(); ++i) {
        written.at(i).add(2 * per_batch * batches, [&] {
          for (std::uint64_t n = 0; n < batches; ++n) databases.at(i)->write_batch(per_batch);
        });
      }
    }
    for (std::size_t i = 0; i < kLayouts.size(); ++i) {
      databases.at(i)->reopen();
      read.at(i).add(written.at(i).records, [&] { databases.at(i)->read_all(); });
    }
    std::printf("%llu submitted and %llu ended in a batch\n", static_cast<unsigned long long>(per_batch),
                static_cast<unsigned long long>(per_batch));
    for (std::size_t i = 0; i < kLayouts.size(); ++i) {
      const auto records = static_cast<double>(written.at(i).records);
      std::printf("  %-30s written: %9.0f records/s, %6.2f us of CPU each; read: %9.0f records/s; %5.1f bytes each\n",
                  kLayouts.at(i).name, records / written.at(i).wall, written.at(i).cpu * 1e6 / records,
                  records / read.at(i).wall, static_cast<double>(databases.at(i)->bytes_on_disk()) / records);
    }
  }
  std::filesystem::remove_all(base);
}

}  // namespace
}  // namespace retire::store

int main(int argc, char** argv) {
  retire::store::run(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10,
                     argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 50);
}
