// A call to the disk fails: each one in turn, once or for good. Nothing is acknowledged that is not on the disk, and a
// store that has failed stays failed.
#include <gtest/gtest.h>

#include <iostream>

#include "broker/store/batch.hpp"
#include "broker/store/disk.hpp"
#include "tests/fault/store/counts.hpp"
#include "tests/fault/store/engine_on_sim.hpp"
#include "tests/unit/store/model_main.hpp"

namespace retire::store {
namespace {

constexpr int kTurns = 40;

struct Tally {
  std::uint64_t runs = 0;
  std::uint64_t refused = 0;   // open said no
  std::uint64_t failed = 0;    // the store failed while it was used
  std::uint64_t unharmed = 0;  // the call that failed was not one that matters
};

// A short life: open, load, use, close. False as soon as the store says that it failed.
bool live(Machine& machine, ModelMain& model, Tally& tally) {
  std::string error;
  const std::unique_ptr<Store> store = machine.open(error);
  if (!store) {
    ++tally.refused;
    EXPECT_NE(error.find("/data/store"), std::string::npos) << error;
    return false;
  }
  bool working = model.attach(*store, error);
  for (int turn = 0; working && turn < kTurns; ++turn) {
    for (int i = 0; i < 8; ++i) model.step();
    working = turn % 4 == 0 ? model.settle() : model.turn();
  }
  if (working) working = store->close().ok();
  if (!working && !model.mismatched()) {
    ++tally.failed;
    // It stays so, whatever the disk does by now, and what is appended later is not made durable.
    const Position before = model.acknowledged();
    for (int i = 0; i < 3; ++i) {
      const Result<Position> durable = store->durable();
      if (durable.ok()) continue;  // only loading or closing has failed, which main does not go on after either
      EXPECT_EQ(durable.error().code, ErrorCode::StorageFailed);
      model.step();
      EXPECT_FALSE(model.turn());
    }
    EXPECT_EQ(model.acknowledged(), before);
  }
  return working;
}

void fail_call(std::uint64_t k, SimDisk::Fault fault, bool sticky, bool power_cut, Tally& tally) {
  Machine machine(k);
  ModelMain model(k);
  Tally ignored;
  // A life before, so that there is something to load; unclean, so that there is a log.
  {
    std::string error;
    const std::unique_ptr<Store> store = machine.open(error);
    ASSERT_TRUE(store && model.attach(*store, error)) << error;
    for (int i = 0; i < 100; ++i) model.step();
    ASSERT_TRUE(model.settle());
  }
  machine.disk->fail_at(k, fault, sticky);
  ++tally.runs;
  if (live(machine, model, tally)) ++tally.unharmed;
  ASSERT_FALSE(model.mismatched());
  machine.disk->fail_at(0, SimDisk::Fault::None, false);
  if (power_cut) {
    machine.disk->cut();
    machine.disk->power_on();
  }
  // The disk is well again, or exchanged for one with room: everything that was acknowledged is there.
  std::string error;
  const std::unique_ptr<Store> store = machine.open(error);
  ASSERT_TRUE(store) << "call " << k << ": " << error;
  ASSERT_TRUE(model.attach(*store, error)) << "call " << k << ": " << error;
  for (int i = 0; i < 20; ++i) model.step();
  ASSERT_TRUE(model.settle());
}

// How many calls such a life makes.
std::uint64_t calls_of_a_life() {
  Machine machine(1);
  ModelMain model(1);
  Tally tally;
  std::string error;
  {
    const std::unique_ptr<Store> store = machine.open(error);
    EXPECT_TRUE(store && model.attach(*store, error)) << error;
    for (int i = 0; i < 100; ++i) model.step();
    EXPECT_TRUE(model.settle());
  }
  const std::uint64_t before = machine.disk->calls();
  EXPECT_TRUE(live(machine, model, tally));
  return machine.disk->calls() - before;
}

void fail_every_call(SimDisk::Fault fault, bool sticky) {
  const std::uint64_t calls = calls_of_a_life();
  ASSERT_GT(calls, 100u);
  // All of them in the nightly form; an odd stride otherwise, which begins elsewhere in each variant.
  const std::uint64_t stride = count_from("RETIRE_CLUSTER_DISK_ERROR_STRIDE", 5);
  Tally tally;
  for (std::uint64_t k = 1 + (sticky ? stride / 2 : 0); k <= calls; k += stride) {
    fail_call(k, fault, sticky, k % 2 == 0, tally);
    ASSERT_FALSE(testing::Test::HasFailure()) << "call " << k << " of " << calls;
  }
  std::cout << (fault == SimDisk::Fault::Io ? "EIO" : "ENOSPC") << (sticky ? ", for good: " : ", once: ") << tally.runs
            << " of " << calls << " calls: " << tally.refused << " refused to open, " << tally.failed
            << " failed in use, " << tally.unharmed << " unharmed, 0 lost\n";
  EXPECT_GT(tally.refused, 0u);
  EXPECT_GT(tally.failed, 0u);
}

TEST(DiskErrors, EioAtEachCallOnce) { fail_every_call(SimDisk::Fault::Io, false); }
TEST(DiskErrors, EioFromEachCallOn) { fail_every_call(SimDisk::Fault::Io, true); }
TEST(DiskErrors, NoSpaceAtEachCallOnce) { fail_every_call(SimDisk::Fault::NoSpace, false); }
TEST(DiskErrors, NoSpaceFromEachCallOn) { fail_every_call(SimDisk::Fault::NoSpace, true); }

// A failed fsync is the end: Linux drops what could not be written and says of the next one that all is well.
TEST(DiskErrors, AFailedFsyncIsNeverTriedAgain) {
  Machine machine(1);
  ModelMain model(1);
  std::string error;
  EmbeddedOptions options = machine.options();
  options.keeper_interval = std::chrono::hours(1);  // nothing but the writer calls the disk
  Result<std::unique_ptr<Store>> opened = open_embedded(options);
  ASSERT_TRUE(opened.ok());
  std::unique_ptr<Store> store = std::move(opened.value());
  ASSERT_TRUE(model.attach(*store, error)) << error;
  model.step();
  ASSERT_TRUE(model.settle());
  const Position before = model.acknowledged();
  machine.disk->fail_at(2, SimDisk::Fault::Io, false);  // the write goes well, the fsync does not
  model.step();
  EXPECT_FALSE(model.settle());
  EXPECT_EQ(machine.disk->failures(), 1u);
  for (int i = 0; i < 10; ++i) {
    model.step();
    EXPECT_FALSE(model.settle());
  }
  const Result<Position> durable = store->durable();
  ASSERT_FALSE(durable.ok());
  EXPECT_EQ(durable.error().code, ErrorCode::StorageFailed);
  EXPECT_NE(durable.error().detail.find("injected"), std::string::npos) << durable.error().detail;
  EXPECT_EQ(model.acknowledged(), before);
  EXPECT_FALSE(store->close().ok());
  machine.disk->cut();
  store.reset();
  machine.disk->power_on();
  store = machine.open(error);
  ASSERT_TRUE(store) << error;
  EXPECT_TRUE(model.attach(*store, error)) << error;
}

// After a failure nothing reaches the disk any more, though the keeper may be in the midst of its round and compact.
// Had it been told, RocksDB would go on: after "no space" it takes up its work again by itself, whatever it is set to.
TEST(DiskErrors, NothingReachesTheDiskAfterAFailedWrite) {
  for (const SimDisk::Fault fault : {SimDisk::Fault::Io, SimDisk::Fault::NoSpace}) {
    for (const std::uint64_t call : {1u, 2u}) {  // the write to the log, its fsync
      Machine machine(1);
      const Result<std::unique_ptr<Disk>> disk = Disk::open("/data/store", *machine.env, 64 << 10);
      ASSERT_TRUE(disk.ok()) << disk.error().detail;
      const auto write = [&](std::uint64_t number) {
        Maker maker;
        BatchBuilder batch;
        batch.begin(number);
        batch.append(maker.submitted(number));
        batch.finish(disk.value()->salt(), number);
        return disk.value()->write(number, batch.value(), batch.ids(), batch.settings());
      };
      ASSERT_TRUE(write(1).ok());
      machine.disk->fail_at(call, fault, false);
      EXPECT_FALSE(write(2).ok());
      EXPECT_EQ(machine.disk->failures(), 1u);
      const SimDisk::Files left = machine.disk->files();
      const Status reclaimed = disk.value()->reclaim(0, 2);
      ASSERT_FALSE(reclaimed.ok());
      EXPECT_NE(reclaimed.error().detail.find("injected"), std::string::npos) << reclaimed.error().detail;
      EXPECT_FALSE(write(3).ok());
      EXPECT_FALSE(disk.value()->close(1).ok());
      EXPECT_TRUE(machine.disk->files() == left);
    }
  }
}

TEST(DiskErrors, LittleSpaceIsSaidBeforeThereIsNone) {
  Machine machine(1);
  EmbeddedOptions options = machine.options();
  options.store.reserve_bytes = 1'000'000;
  const Result<std::unique_ptr<Store>> store = open_embedded(options);
  ASSERT_TRUE(store.ok());
  EXPECT_FALSE(store.value()->space().low);
  machine.disk->set_free_bytes(999'999);
  while (!store.value()->space().low) std::this_thread::yield();
  machine.disk->set_free_bytes(1'000'000);  // what lies in memory needs some of it
  while (store.value()->space().free_bytes == 0 || !store.value()->space().low) std::this_thread::yield();
  EXPECT_LT(store.value()->space().free_bytes, 1'000'000u);
  machine.disk->set_free_bytes(100'000'000);
  while (store.value()->space().low) std::this_thread::yield();
}

}  // namespace
}  // namespace retire::store
