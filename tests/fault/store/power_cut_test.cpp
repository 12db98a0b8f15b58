// The power goes at a random moment, many times: what was acknowledged is there, and nothing is there by halves.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <iostream>

#include "broker/store/batch.hpp"
#include "tests/fault/store/counts.hpp"
#include "tests/fault/store/engine_on_sim.hpp"
#include "tests/unit/store/model_main.hpp"

namespace retire::store {
namespace {

struct Tally {
  std::uint64_t cuts = 0;
  std::uint64_t in_open = 0;  // while the store was opened or loaded
  std::uint64_t in_close = 0;
  std::uint64_t dropped = 0;       // torn last batches
  std::uint64_t acknowledged = 0;  // batches
};

// Several lives of one store, each ended by a power cut or, now and then, in order. False if something was lost.
bool run(std::uint64_t seed, Tally& tally, bool lying_disk = false) {
  Machine machine(seed);
  if (lying_disk) machine.disk->ignore_syncs();
  Rng rng(seed * 7919 + 1);
  ModelMain model(seed);
  for (int life = 0; life < 6; ++life) {
    machine.disk->cut_at(1 + rng.below(life == 0 ? 400 : 1'200));
    std::string error;
    std::unique_ptr<Store> store = machine.open(error);
    bool working = store != nullptr;
    if (working) {
      tally.dropped += store->opened().dropped_batches;
      working = model.attach(*store, error);
    }
    if (model.mismatched() || (!working && !machine.disk->is_cut())) {
      if (!lying_disk) ADD_FAILURE() << "seed " << seed << ", life " << life << ": " << error;
      return false;
    }
    if (testing::Test::HasFailure()) return false;
    if (!working) ++tally.in_open;
    const std::uint64_t before = batch_of(model.acknowledged());
    for (int turn = 0; working && turn < 150; ++turn) {
      for (std::uint64_t i = rng.below(12); i > 0; --i) model.step();
      working = rng.below(3) == 0 ? model.settle() : model.turn();
    }
    tally.acknowledged += batch_of(model.acknowledged()) - before;
    if (working && rng.below(4) == 0) {
      if (!store->close().ok()) ++tally.in_close;
    }
    machine.disk->cut();
    store.reset();
    machine.disk->power_on();
    ++tally.cuts;
  }
  // In the end, everything is loaded once more, and everything in the store is whole.
  std::string error;
  const std::unique_ptr<Store> store = machine.open(error);
  if (!store || !model.attach(*store, error)) {
    if (!lying_disk) ADD_FAILURE() << "seed " << seed << ", in the end: " << error;
    return false;
  }
  return true;
}

TEST(PowerCut, WhatWasAcknowledgedIsThereAndNothingByHalves) {
  const std::uint64_t seeds = count_from("RETIRE_CLUSTER_POWER_CUTS", 50);
  const std::uint64_t first = count_from("RETIRE_CLUSTER_POWER_CUTS_FROM", 1);
  Tally tally;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    ASSERT_TRUE(run(seed, tally)) << "seed " << seed;
  }
  std::cout << "power cuts: " << seeds << " seeds, " << tally.cuts << " cuts (" << tally.in_open
            << " while opening or loading, " << tally.in_close << " while closing), " << tally.acknowledged
            << " batches acknowledged, " << tally.dropped << " torn and dropped, 0 lost\n";
  EXPECT_GT(tally.acknowledged, seeds);
  if (seeds >= 50) {
    EXPECT_GT(tally.in_open, 0u);
  }
}

// A disk that keeps renames and deletions, and loses the creations before them unless they were fsynced: at each call
// while a store that was not closed in order is opened, which makes data files of its logs.
TEST(PowerCut, NoNameThatLeadsToAFileIsDurableBeforeTheFile) {
  Machine machine(1);
  ModelMain model(1);
  std::string error;
  {
    const std::unique_ptr<Store> store = machine.open(error);
    ASSERT_TRUE(store && model.attach(*store, error)) << error;
    for (int i = 0; i < 300; ++i) model.step();
    ASSERT_TRUE(model.settle());
  }
  const SimDisk::Files files = machine.disk->files();
  bool cut = true;
  std::uint64_t k = 0;
  while (cut) {
    ASSERT_LT(++k, 10'000u);
    machine.disk->put(files);
    machine.disk->cut_at(k);
    std::unique_ptr<Store> store = machine.open(error);
    cut = machine.disk->is_cut();
    machine.disk->cut();
    store.reset();
    machine.disk->power_on(SimDisk::NamesLeft::AllButCreations);
    ModelMain copy = model;
    store = machine.open(error);
    ASSERT_TRUE(store) << "call " << k << ": " << error;
    ASSERT_TRUE(copy.attach(*store, error)) << "call " << k << ": " << error;
  }
  EXPECT_GT(k, 50u);  // of a good opening's calls, each was the last one once
}

// The test of the test: on a disk whose fsync does nothing, the same runs lose what was acknowledged.
TEST(PowerCut, ADiskWhoseFsyncDoesNothingIsFoundOut) {
  int lost = 0;
  for (std::uint64_t seed = 1; seed <= 20 && lost == 0; ++seed) {
    Tally tally;
    testing::TestPartResultArray failures;
    {
      testing::ScopedFakeTestPartResultReporter reporter(&failures);
      if (!run(seed, tally, true)) ++lost;
    }
  }
  EXPECT_GT(lost, 0);
}

}  // namespace
}  // namespace retire::store
