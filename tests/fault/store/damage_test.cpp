// A closed store is spoiled: a bit is flipped, a file is cut or is gone. It comes back whole, or is refused by name; it
// is never silently less.
#include <gtest/gtest.h>

#include <array>
#include <iostream>

#include "broker/store/batch.hpp"
#include "tests/fault/store/counts.hpp"
#include "tests/fault/store/engine_on_sim.hpp"
#include "tests/unit/store/model_main.hpp"

namespace retire::store {
namespace {

struct Spoiled {
  SimDisk::Files files;
  ModelMain model;
};

// A store with history: several data files, a write-ahead log with something in it if it was not closed in order.
Spoiled make(std::uint64_t seed, bool clean) {
  Machine machine(seed);
  ModelMain model(seed);
  std::string error;
  for (int life = 0; life < 3; ++life) {
    const std::unique_ptr<Store> store = machine.open(error);
    EXPECT_TRUE(store && model.attach(*store, error)) << error;
    for (int turn = 0; turn < 60; ++turn) {
      for (int i = 0; i < 8; ++i) model.step();
      EXPECT_TRUE(turn % 5 == 0 ? model.settle() : model.turn());
    }
    EXPECT_TRUE(model.settle());
    if (clean || life < 2) {
      EXPECT_TRUE(store->close().ok());
    }
  }
  return {machine.disk->files(), model};
}

bool refused_by_name(const std::string& error) {
  return error.find("/data/store") != std::string::npos || error.find("batch ") != std::string::npos;
}

enum class Damage { BitFlip, Truncation, Missing };

std::string spoil(SimDisk::Files& files, Rng& rng, Damage damage) {
  // Weighed by file, not by byte: the small ones matter as much.
  auto at = std::next(files.begin(), static_cast<std::ptrdiff_t>(rng.below(files.size())));
  while (at->second.empty()) at = std::next(files.begin(), static_cast<std::ptrdiff_t>(rng.below(files.size())));
  std::string& data = at->second;
  const std::string name = at->first;
  switch (damage) {
    case Damage::BitFlip: {
      const std::uint64_t bit = rng.below(data.size() * 8);
      data[bit / 8] = static_cast<char>(data[bit / 8] ^ (1 << (bit % 8)));
      return name + ", bit " + std::to_string(bit);
    }
    case Damage::Truncation:
      data.resize(rng.below(data.size()));
      return name + ", cut to " + std::to_string(data.size());
    case Damage::Missing: files.erase(at); return name + ", gone";
  }
  return {};
}

void spoil_many(bool clean, std::uint64_t count) {
  const Spoiled whole = make(clean ? 11 : 12, clean);
  Rng rng(clean ? 1 : 2);
  std::array<std::uint64_t, 3> refused{};
  std::array<std::uint64_t, 3> recovered{};
  std::uint64_t last_batch = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::size_t kind = i % 8 < 4 ? 0 : i % 8 < 7 ? 1 : 2;
    SimDisk::Files files = whole.files;
    // The end of the log of a store that was not closed in order is known to nobody else: a disk that loses what was
    // fsynced there cannot be found out, so the logs are not cut here, only flipped.
    SimDisk::Files logs;
    if (!clean && kind != 0) {
      std::erase_if(files, [&](const auto& file) { return file.first.ends_with(".log") && (logs.insert(file), true); });
    }
    const std::string what = spoil(files, rng, static_cast<Damage>(kind));
    files.merge(logs);
    Machine machine(i);
    machine.disk->put(files);
    ModelMain model = whole.model;
    std::string error;
    const std::unique_ptr<Store> store = machine.open(error);
    bool back = store != nullptr;
    if (back && !clean) {
      // The one thing that cannot be told from a power cut's trace: damage in the very last batch of a store that was
      // not closed in order.
      const std::uint64_t found = batch_of(store->durable().value());
      const std::uint64_t expected = batch_of(model.acknowledged());
      if (found + 1 == expected) {
        ++last_batch;
        continue;
      }
    }
    back = back && model.attach(*store, error);
    ASSERT_FALSE(model.mismatched()) << what;
    if (back) {
      ++recovered.at(kind);
    } else {
      ++refused.at(kind);
      ASSERT_TRUE(refused_by_name(error)) << what << ": " << error;
    }
  }
  std::cout << (clean ? "closed in order: " : "not closed in order: ") << count << " spoiled stores: flipped bits "
            << recovered[0] << " recovered whole, " << refused[0] << " refused; cut files " << recovered[1] << ", "
            << refused[1] << "; missing files " << recovered[2] << ", " << refused[2];
  if (!clean) std::cout << "; last batch taken for a power cut's trace " << last_batch;
  std::cout << "; 0 silently less\n";
  EXPECT_GT(refused[0], 0u);
  EXPECT_GT(refused[1], 0u);
}

TEST(Damage, AStoreClosedInOrderIsRecoveredWholeOrRefusedByName) {
  spoil_many(true, count_from("RETIRE_CLUSTER_DAMAGES", 100));
}

TEST(Damage, AStoreNotClosedInOrderLosesAtMostItsLastBatch) {
  spoil_many(false, count_from("RETIRE_CLUSTER_DAMAGES", 100) / 2);
}

// What the write-ahead log of a crashed store holds is not skipped over: the first bad batch ends the start when
// another follows, and the store is left as it was.
TEST(Damage, DamageInTheMiddleOfTheLogIsRefusedAgainAndAgain) {
  Machine machine(1);
  ModelMain model(1);
  std::string error;
  {
    EmbeddedOptions options = machine.options();
    options.memtable_bytes = std::size_t{8} << 20;  // everything stays in the log
    options.keeper_interval = std::chrono::hours(1);
    const Result<std::unique_ptr<Store>> store = open_embedded(options);
    ASSERT_TRUE(store.ok() && model.attach(*store.value(), error));
    for (int turn = 0; turn < 30; ++turn) {
      for (int i = 0; i < 8; ++i) model.step();
      ASSERT_TRUE(model.settle());
    }
  }
  SimDisk::Files files = machine.disk->files();
  std::string* log = nullptr;
  for (auto& [name, data] : files) {
    if (name.ends_with(".log") && (log == nullptr || data.size() > log->size())) log = &data;
  }
  ASSERT_TRUE(log != nullptr && log->size() > 40'000);
  (*log)[log->size() / 2] = static_cast<char>((*log)[log->size() / 2] ^ 1);
  machine.disk->put(files);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(machine.open(error), nullptr);
    EXPECT_NE(error.find("write-ahead log cannot be read at batch"), std::string::npos) << error;
  }
  // Put right again, it is whole.
  (*log)[log->size() / 2] = static_cast<char>((*log)[log->size() / 2] ^ 1);
  machine.disk->put(files);
  const std::unique_ptr<Store> store = machine.open(error);
  ASSERT_TRUE(store) << error;
  EXPECT_TRUE(model.attach(*store, error)) << error;
}

// A client's bytes that look like a batch of ours, with a high number, do not make a torn tail look like damage.
TEST(Damage, APayloadCannotPretendToBeABatch) {
  Machine machine(1);
  std::string error;
  std::unique_ptr<Store> store = machine.open(error);
  ASSERT_TRUE(store) << error;
  Header header{.salt = 0x1122334455667788, .first = 1'000'000, .last = 1'000'000, .lowest = 1, .records = 1};
  std::string forged(kHeaderBytes, '\0');
  seal(header, forged);
  Record record = Maker().submitted(1);
  record.task.metadata = {};
  record.task.payload = forged;
  const Position position = store->append(record);
  store->submit();
  while (store->durable().value() < position) std::this_thread::yield();
  store.reset();
  store = machine.open(error);
  EXPECT_TRUE(store) << error;
}

}  // namespace
}  // namespace retire::store
