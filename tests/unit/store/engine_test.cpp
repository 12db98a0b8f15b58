// The embedded engine on a real disk, whole.
#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "broker/store/disk.hpp"
#include "broker/store/embedded_store.hpp"
#include "tests/unit/store/directory.hpp"
#include "tests/unit/store/model_main.hpp"

namespace retire::store {
namespace {

namespace fs = std::filesystem;

std::unique_ptr<Store> open(const EmbeddedOptions& options) {
  Result<std::unique_ptr<Store>> store = open_embedded(options);
  if (!store.ok()) ADD_FAILURE() << store.error().detail;
  return store.ok() ? std::move(store.value()) : nullptr;
}

std::string refusal(const EmbeddedOptions& options) {
  const Result<std::unique_ptr<Store>> store = open_embedded(options);
  if (store.ok()) return "opened";
  return store.error().detail;
}

void load(Store& store, std::size_t max, const Store::Visit& visit) {
  const Result<std::size_t> loaded = store.recover(max, visit);
  if (!loaded.ok()) ADD_FAILURE() << loaded.error().detail;
}

// Waits as main's loop does: on the descriptor, again and again.
template <class Condition>
bool wait_for(Store& store, Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    pollfd wait{store.readable(), POLLIN, 0};
    ::poll(&wait, 1, 1'000);
  }
  return true;
}

TEST(EmbeddedStore, WhatWasAppendedIsThereAfterAnOrderlyEnd) {
  const Directory directory;
  ModelMain model(1);
  for (int run = 0; run < 4; ++run) {
    const auto store = open(options_in(directory.store()));
    ASSERT_TRUE(store);
    EXPECT_EQ(store->opened().fresh, run == 0);
    EXPECT_TRUE(store->opened().clean);
    std::string error;
    ASSERT_TRUE(model.attach(*store, error)) << error;
    for (int i = 0; i < 2'000; ++i) {
      model.step();
      if (i % 10 == 0) {
        ASSERT_TRUE(model.turn());
      }
    }
    ASSERT_TRUE(model.settle());
    ASSERT_TRUE(model.fetch_some());
    ASSERT_TRUE(store->close().ok());
  }
}

TEST(EmbeddedStore, WhatWasAcknowledgedIsThereAfterAnEndWithoutWarning) {
  const Directory directory;
  ModelMain model(2);
  for (int run = 0; run < 4; ++run) {
    const auto store = open(options_in(directory.store()));
    ASSERT_TRUE(store);
    EXPECT_EQ(store->opened().clean, run == 0);
    EXPECT_EQ(store->opened().dropped_batches, 0u);
    std::string error;
    ASSERT_TRUE(model.attach(*store, error)) << error;
    for (int i = 0; i < 500; ++i) model.step();
    ASSERT_TRUE(model.turn());
    ASSERT_TRUE(model.settle());
  }
}

TEST(EmbeddedStore, TheDescriptorTellsOfEverythingThatMoves) {
  const Directory directory;
  auto store = open(options_in(directory.store()));
  ASSERT_TRUE(store);
  Maker maker;
  Position last = 0;
  for (std::uint64_t n = 0; n < 1'000; ++n) last = store->append(maker.submitted(n));
  EXPECT_GT(store->backlog_bytes(), 64'000u);
  store->submit();
  EXPECT_TRUE(wait_for(*store, [&] { return store->durable().value() >= last; }));
  EXPECT_EQ(store->backlog_bytes(), 0u);
  ASSERT_TRUE(store->fetch(last, 5));
  std::size_t come = 0;
  const auto visit = [&](std::uint64_t token, const Result<const Record*>& record) {
    EXPECT_EQ(token, 5u);
    EXPECT_TRUE(record.ok());
    ++come;
  };
  // fetched() before durable(): the order must not matter.
  EXPECT_TRUE(wait_for(*store, [&] {
    store->fetched(10, visit);
    return store->durable().ok() && come == 1;
  }));
  ASSERT_TRUE(store->close().ok());
  store = open(options_in(directory.store()));
  ASSERT_TRUE(store);
  std::size_t records = 0;
  EXPECT_TRUE(wait_for(*store, [&] {
    load(*store, 100, [&](Position, const Record&) { ++records; });
    return store->durable().ok() && store->loading() == Store::Loading::Done;
  }));
  EXPECT_EQ(records, 1'000u);
}

TEST(EmbeddedStore, FetchesAreBoundedAndUnknownPositionsAreSaid) {
  const Directory directory;
  const auto store = open(options_in(directory.store()));
  ASSERT_TRUE(store);
  const Position position = store->append(Maker().submitted(1));
  store->submit();
  ASSERT_TRUE(wait_for(*store, [&] { return store->durable().value() >= position; }));
  for (std::size_t i = 0; i < Store::kFetchesMax; ++i) ASSERT_TRUE(store->fetch(position + i % 2, i));
  EXPECT_FALSE(store->fetch(position, 1));
  std::size_t whole = 0;
  std::size_t unknown = 0;
  const auto visit = [&](std::uint64_t, const Result<const Record*>& record) {
    if (record.ok()) {
      ++whole;
    } else {
      EXPECT_EQ(record.error().code, ErrorCode::NotFound);
      ++unknown;
    }
  };
  EXPECT_TRUE(wait_for(*store, [&] {
    store->fetched(100, visit);
    return store->durable().ok() && whole + unknown == Store::kFetchesMax;
  }));
  EXPECT_EQ(whole, Store::kFetchesMax / 2);
  EXPECT_TRUE(store->fetch(position, 1));
}

TEST(EmbeddedStore, TheQueueIsLoadedBeforeHistory) {
  const Directory directory;
  Maker maker;
  {
    const auto store = open(options_in(directory.store()));
    ASSERT_TRUE(store);
    std::vector<Position> finished;
    for (std::uint64_t n = 0; n < 3'000; ++n) {
      finished.push_back(store->append(maker.submitted(n)));
      if (n % 100 == 99) store->submit();
    }
    ASSERT_TRUE(wait_for(*store, [&] { return store->submit(), store->durable().value() >= finished.back(); }));
    Position last = 0;
    for (std::uint64_t n = 3'000; n < 4'000; ++n) {
      last = store->append(maker.submitted(n));
      // Its record lies behind the border, what it is about before it.
      store->append(maker.ended(n - 3'000, finished[n - 3'000]));
    }
    for (std::uint64_t n = 1'000; n < 3'000; ++n) last = store->append(maker.ended(n, finished[n]));
    ASSERT_TRUE(wait_for(*store, [&] { return store->submit(), store->durable().value() >= last; }));
    // The border is known from the batch after.
    last = store->append(maker.submitted(4'000));
    ASSERT_TRUE(wait_for(*store, [&] { return store->submit(), store->durable().value() >= last; }));
  }
  const auto store = open(options_in(directory.store()));
  ASSERT_TRUE(store);
  std::size_t queued = 0;
  std::map<std::uint64_t, int> finished;
  EXPECT_TRUE(wait_for(*store, [&] {
    EXPECT_TRUE(store->durable().ok());
    EXPECT_TRUE(store->loading() == Store::Loading::Done || store->may_know(id_of(5)));
    load(*store, 50, [&](Position, const Record& record) {
      if (record.kind == Record::Kind::Submitted && record.sequence > 3'000) {
        EXPECT_TRUE(finished.empty());
        ++queued;
      } else if (record.kind == Record::Kind::Submitted) {
        EXPECT_EQ(++finished[record.task.id.high()], 1);
      } else {
        EXPECT_EQ(++finished[record.task.id.high()], 2);
      }
    });
    return store->loading() == Store::Loading::Done;
  }));
  EXPECT_EQ(queued, 1'001u);
  EXPECT_EQ(finished.size(), 3'000u);
}

TEST(EmbeddedStore, StrangersAreToldApartAtOnceWhileLoading) {
  const Directory directory;
  Maker maker;
  {
    const auto store = open(options_in(directory.store()));
    ASSERT_TRUE(store);
    for (std::uint64_t n = 0; n < 10'000; ++n) store->append(maker.submitted(n));
    ASSERT_TRUE(store->close().ok());
  }
  const auto store = open(options_in(directory.store()));
  ASSERT_TRUE(store);
  int taken_for_known = 0;
  for (std::uint64_t n = 0; n < 10'000; ++n) {
    EXPECT_TRUE(store->may_know(id_of(n)));
    taken_for_known += store->may_know(id_of(1'000'000 + n)) ? 1 : 0;
  }
  EXPECT_LT(taken_for_known, 100);
}

TEST(EmbeddedStore, TheLatestOfADeviceIsVisitedLast) {
  const Directory directory;
  Maker maker;
  for (int run = 0; run < 3; ++run) {
    const auto store = open(options_in(directory.store()));
    ASSERT_TRUE(store);
    std::map<std::string, std::string> devices;
    ASSERT_TRUE(wait_for(*store, [&] {
      EXPECT_TRUE(store->durable().ok());
      load(*store, 1, [&](Position, const Record& record) {
        if (record.kind == Record::Kind::Device) {
          devices[std::string(record.task.device_id)] = std::string(record.device);
        }
      });
      return store->loading() == Store::Loading::Done;
    }));
    if (run > 0) {
      EXPECT_EQ(devices.size(), 2u);
      EXPECT_EQ(devices["a"], "a9");
      EXPECT_EQ(devices["b"], run == 1 ? "b0" : "b1");
    }
    for (int i = 0; i < 10; ++i) {
      store->append(maker.device("a", "a" + std::to_string(i)));
      store->submit();
    }
    store->append(maker.device("b", "b" + std::to_string(run)));
    ASSERT_TRUE(store->close().ok());
  }
}

TEST(EmbeddedStore, LargeRecordsFindRoom) {
  const Directory directory;
  Maker maker;
  {
    const auto store = open(options_in(directory.store()));
    ASSERT_TRUE(store);
    for (std::uint64_t n = 0; n < 4; ++n) {
      const Position task = store->append(maker.submitted(n, std::size_t{16} << 20));
      store->append(maker.ended(n, task, std::size_t{16} << 20));
    }
    ASSERT_TRUE(store->close().ok());
  }
  const auto store = open(options_in(directory.store()));
  ASSERT_TRUE(store);
  std::size_t bytes = 0;
  EXPECT_TRUE(wait_for(*store, [&] {
    EXPECT_TRUE(store->durable().ok());
    load(*store, 1, [&](Position, const Record& record) {
      bytes += record.task.payload.value_or("").size() + record.task.result_data.value_or("").size();
    });
    return store->loading() == Store::Loading::Done;
  }));
  EXPECT_GE(bytes, std::size_t{7 * 16} << 20);  // the first task has failed, without a result
}

// Tasks come and go, one in a thousand stays: what lies on the disk is bounded by what is needed.
TEST(EmbeddedStore, ChurnBehindStragglersLeavesNoMoreThanABoundOnTheDisk) {
  const Directory directory;
  EmbeddedOptions options = options_in(directory.store());
  options.memtable_bytes = std::size_t{2} << 20;
  options.tidy.garbage_bytes_min = std::uint64_t{4} << 20;
  options.tidy.young_bytes = std::uint64_t{1} << 20;
  options.drop_bytes_min = std::uint64_t{2} << 20;
  const auto store = open(options);
  ASSERT_TRUE(store);
  Maker maker;
  std::uint64_t written = 0;
  std::uint64_t most = 0;
  for (std::uint64_t round = 0; round < 400; ++round) {
    std::vector<std::pair<std::uint64_t, Position>> tasks;
    for (std::uint64_t n = round * 1'000; n < (round + 1) * 1'000; ++n) {
      tasks.emplace_back(n, store->append(maker.submitted(n, 300)));
      written += 400;
    }
    store->submit();
    Position last = 0;
    for (std::size_t i = 1; i < tasks.size(); ++i) {
      const Position ended = store->append(maker.ended(tasks[i].first, tasks[i].second, 100));
      store->release(tasks[i].second);
      store->release(ended);
      last = store->append(maker.of(Record::Kind::Forgotten, tasks[i].first, tasks[i].second));
      written += 300;
    }
    ASSERT_TRUE(wait_for(*store, [&] { return store->submit(), store->durable().value() >= last; }));
    most = std::max(most, store->space().used_bytes);
  }
  EXPECT_GT(written, std::uint64_t{250} << 20);
  const auto used = [&] {
    std::uint64_t sum = 0;
    for (const auto& file : fs::directory_iterator(directory.store())) {
      std::error_code gone;
      const std::uint64_t size = file.is_regular_file() ? file.file_size(gone) : 0;
      if (!gone) sum += size;
    }
    return sum;
  };
  EXPECT_TRUE(wait_for(*store, [&] { return store->durable().ok() && used() < (std::uint64_t{24} << 20); })) << used();
  EXPECT_LT(most, std::uint64_t{96} << 20);
  RecordProperty("written_bytes", std::to_string(written));
  RecordProperty("most_bytes", std::to_string(most));
  std::cout << "written " << written << " bytes, most on the disk " << most << ", in the end " << used() << "\n";
  // And the stragglers are all there.
  ASSERT_TRUE(store->close().ok());
  const auto again = open(options);
  std::size_t stragglers = 0;
  EXPECT_TRUE(wait_for(*again, [&] {
    EXPECT_TRUE(again->durable().ok());
    load(*again, 1'000, [&](Position, const Record& record) {
      stragglers += record.kind == Record::Kind::Submitted && (record.sequence - 1) % 1'000 == 0 ? 1 : 0;
    });
    return again->loading() == Store::Loading::Done;
  }));
  EXPECT_EQ(stragglers, 400u);
}

// A device is remembered once, at the beginning, and the tasks that it ran are forgotten: that its record is still
// needed must not keep all that came after it, nor have it rewritten.
TEST(EmbeddedStore, ADevicesRecordDoesNotKeepWhatLiesBehindIt) {
  const Directory directory;
  EmbeddedOptions options = options_in(directory.store());
  options.tidy.garbage_bytes_min = std::uint64_t{1} << 20;
  options.tidy.young_segments = 1'000'000;  // nothing is rewritten
  options.tidy.young_bytes = std::uint64_t{1} << 40;
  options.drop_bytes_min = 1;
  {
    const auto store = open(options);
    ASSERT_TRUE(store);
    Maker maker;
    store->append(maker.device("a", "what is known of a"));
    store->append(maker.device("gone", ""));
    std::uint64_t n = 0;
    Position last = 0;
    const auto tasks = [&](int count) {
      for (int i = 0; i < count; ++i, ++n) {
        const Position task = store->append(maker.submitted(n, 300));
        const Position ended = store->append(maker.ended(n, task, 100));
        store->release(task);
        store->release(ended);
        last = store->append(maker.of(Record::Kind::Forgotten, n, task));
      }
      store->submit();
    };
    for (int batch = 0; batch < 100; ++batch) {
      tasks(100);
      ASSERT_TRUE(wait_for(*store, [&] { return store->submit(), store->durable().value() >= last; }));
    }
    ASSERT_TRUE(wait_for(*store, [&] {
      tasks(1);
      const Result<std::optional<Mark>> mark = read_mark(*rocksdb::Env::Default(), directory.store());
      return store->durable().ok() && mark.ok() && mark.value() && mark.value()->first > 90;
    }));
    ASSERT_TRUE(store->close().ok());
  }
  const auto again = open(options);
  ASSERT_TRUE(again);
  EXPECT_GT(again->opened().batches, 0u);
  std::map<std::string, std::string> devices;
  EXPECT_TRUE(wait_for(*again, [&] {
    EXPECT_TRUE(again->durable().ok());
    load(*again, 1'000, [&](Position, const Record& record) {
      if (record.kind == Record::Kind::Device) {
        devices[std::string(record.task.device_id)] = std::string(record.device);
      }
    });
    return again->loading() == Store::Loading::Done;
  }));
  const std::map<std::string, std::string> expected = {{"a", "what is known of a"}, {"gone", ""}};
  EXPECT_EQ(devices, expected);
}

TEST(EmbeddedStore, ManySmallBatchesBecomeFewSegments) {
  const Directory directory;
  EmbeddedOptions options = options_in(directory.store());
  options.tidy.small_segments_max = 200;
  const auto store = open(options);
  ASSERT_TRUE(store);
  ModelMain model(3);
  std::string error;
  ASSERT_TRUE(model.attach(*store, error));
  for (int i = 0; i < 3'000; ++i) {
    model.step();
    ASSERT_TRUE(model.settle());
  }
  ASSERT_TRUE(model.fetch_some());
  ASSERT_TRUE(store->close().ok());
  const auto again = open(options);
  EXPECT_LT(again->opened().batches, 1'500u);
  ASSERT_TRUE(model.attach(*again, error)) << error;
}

TEST(EmbeddedStore, LittleFreeSpaceIsSaid) {
  const Directory directory;
  EmbeddedOptions options = options_in(directory.store());
  auto store = open(options);
  ASSERT_TRUE(store);
  EXPECT_FALSE(store->space().low);
  EXPECT_GT(store->space().free_bytes, 0u);
  store.reset();
  options.store.reserve_bytes = ~std::uint64_t{0};
  store = open(options);
  EXPECT_TRUE(store->space().low);
}

Record settings_record(const std::string& bytes) {
  Record record;
  record.kind = Record::Kind::Settings;
  record.device = bytes;
  return record;
}

// They are known from the start, whether main stopped in order or not, and no visitor sees one.
TEST(EmbeddedStore, TheLastSettingsAreKnownFromTheStart) {
  const Directory directory;
  {
    const auto store = open(options_in(directory.store()));
    ASSERT_TRUE(store);
    EXPECT_EQ(store->settings(), "");
    store->append(settings_record("first"));
    const Position last = store->append(settings_record("second"));
    store->submit();
    ASSERT_TRUE(wait_for(*store, [&] { return store->durable().value() >= last; }));
  }
  {
    const auto store = open(options_in(directory.store()));
    ASSERT_TRUE(store);
    EXPECT_EQ(store->settings(), "second");
    ASSERT_TRUE(wait_for(*store, [&] {
      load(*store, 100, [](Position, const Record&) { ADD_FAILURE() << "a record was visited"; });
      return store->loading() == Store::Loading::Done;
    }));
    Maker maker;
    store->append(maker.submitted(1));
    ASSERT_TRUE(store->close().ok());
  }
  const auto store = open(options_in(directory.store()));
  ASSERT_TRUE(store);
  EXPECT_EQ(store->settings(), "second") << "a batch without settings leaves them";
}

TEST(EmbeddedStore, AStoreOfTheFormerSchemaIsOpenedAndIsOfThisOneThen) {
  const Directory directory;
  ASSERT_TRUE(open(options_in(directory.store()))->close().ok());
  rocksdb::Env& env = *rocksdb::Env::Default();
  std::optional<Mark> mark = read_mark(env, directory.store()).value();
  ASSERT_TRUE(mark);
  EXPECT_EQ(mark->schema, kSchema);
  mark->schema = 1;
  ASSERT_TRUE(write_mark(env, directory.store(), *mark).ok());
  ASSERT_TRUE(open(options_in(directory.store())));
  EXPECT_EQ(read_mark(env, directory.store()).value()->schema, kSchema);
}

TEST(EmbeddedStore, ANewerStoreIsRefusedWithBothVersions) {
  const Directory directory;
  ASSERT_TRUE(open(options_in(directory.store()))->close().ok());
  std::fstream mark(directory / "store/MARK", std::ios::in | std::ios::out | std::ios::binary);
  mark.seekp(8);
  mark.put(9);
  mark.close();
  const std::string said = refusal(options_in(directory.store()));
  EXPECT_NE(said.find("schema version 9, this program knows 2"), std::string::npos) << said;
}

TEST(EmbeddedStore, AStoreWithoutItsMarkIsRefused) {
  const Directory directory;
  ASSERT_TRUE(open(options_in(directory.store()))->close().ok());
  fs::remove(directory / "store/MARK");
  const std::string said = refusal(options_in(directory.store()));
  EXPECT_NE(said.find("MARK is missing"), std::string::npos) << said;
}

TEST(EmbeddedStore, ADirectoryThatCannotBeMadeIsNamed) {
  const Directory directory;
  std::ofstream(directory / "file") << "x";
  const std::string said = refusal(options_in(directory / "file/store"));
  EXPECT_NE(said.find("file/store"), std::string::npos) << said;
}

}  // namespace
}  // namespace retire::store
