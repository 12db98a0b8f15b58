// What the ledger says is needed, unfinished and worth tidying.
#include <gtest/gtest.h>

#include "broker/store/ledger.hpp"

namespace retire::store {
namespace {

// Batches of ten tasks with records at places 100, 200, …
class StoreLedger : public testing::Test {
 protected:
  StoreLedger() { ledger.loaded(); }
  static Position task(std::uint64_t batch, std::uint64_t n) { return make_position(batch, 100 * (n + 1)); }
  void submit(std::uint64_t batch, std::size_t bytes = 1'000) {
    BatchEffects effects;
    effects.submitted = effects.needed = 10;
    ledger.apply(batch, bytes, 10, effects);
  }
  void end(std::uint64_t batch, std::uint64_t of_batch, std::uint64_t tasks = 10) {
    BatchEffects effects;
    effects.needed = static_cast<std::uint32_t>(tasks);
    for (std::uint64_t n = 0; n < tasks; ++n) effects.ended.push_back(task(of_batch, n));
    ledger.apply(batch, 1'000, static_cast<std::uint32_t>(tasks), effects);
  }
  void release(std::uint64_t batch, std::uint64_t of_batch, std::uint64_t tasks = 10) {
    BatchEffects effects;
    for (std::uint64_t n = 0; n < tasks; ++n) effects.released.push_back(task(of_batch, n));
    ledger.apply(batch, 100, static_cast<std::uint32_t>(tasks), effects);  // all of them Forgotten ones
  }
  Ledger ledger;
};

TEST_F(StoreLedger, TheLowestUnfinishedBatchMovesOnAsTasksEndAndBackWhenOneIsAskedForAgain) {
  submit(1);
  submit(2);
  EXPECT_EQ(ledger.lowest(3), 1u);
  end(3, 1, 9);
  EXPECT_EQ(ledger.lowest(4), 1u);
  BatchEffects last;
  last.ended = {task(1, 9)};
  ledger.apply_effects(last);
  EXPECT_EQ(ledger.lowest(4), 2u);
  end(4, 2);
  EXPECT_EQ(ledger.lowest(5), 5u);
  BatchEffects again;
  again.requeued = {task(1, 3)};
  ledger.apply_effects(again);
  EXPECT_EQ(ledger.lowest(5), 1u);
}

TEST_F(StoreLedger, TheFrontGoesWhenNothingInItIsNeeded) {
  submit(1);
  submit(2);
  release(3, 1, 9);
  EXPECT_EQ(ledger.trim(4), 1u);
  BatchEffects last;
  last.released = {task(1, 9)};
  ledger.apply_effects(last);
  EXPECT_EQ(ledger.trim(4), 2u);
  BatchEffects rest;
  for (std::uint64_t n = 0; n < 10; ++n) rest.released.push_back(task(2, n));
  ledger.apply_effects(rest);
  EXPECT_EQ(ledger.trim(4), 4u);  // the batch of Forgotten records too: what they are about is gone
  EXPECT_EQ(ledger.bytes(), 0u);
}

TEST_F(StoreLedger, NothingIsTidiedWhileLoading) {
  Ledger fresh;
  fresh.add(1, 1);
  fresh.found(1, {.bytes = 1'000'000, .needed = 10, .forgotten = 0, .submitted = 10, .ended = {}, .requeued = {}});
  BatchEffects effects;
  for (std::uint64_t n = 0; n < 10; ++n) effects.released.push_back(task(1, n));
  fresh.apply_effects(effects);
  TidyLimits limits;
  limits.garbage_bytes_min = 1;
  limits.young_segments = 0;
  EXPECT_TRUE(fresh.plan(limits).empty());
  EXPECT_EQ(fresh.trim(2), 1u);
  fresh.loaded();
  EXPECT_EQ(fresh.plan(limits).size(), 1u);
  EXPECT_EQ(fresh.trim(2), 2u);
}

TEST_F(StoreLedger, GarbageIsWorthTidyingWhenItIsMuchBesideWhatIsNeeded) {
  TidyLimits limits;
  limits.garbage_bytes_min = 20'000;
  limits.young_segments = 0;
  for (std::uint64_t batch = 1; batch <= 100; ++batch) submit(batch);
  std::uint64_t next = 101;
  for (std::uint64_t batch = 1; batch <= 20; ++batch) release(next++, batch, 9);
  EXPECT_TRUE(ledger.plan(limits).empty());
  for (std::uint64_t batch = 21; batch <= 60; ++batch) release(next++, batch, 9);
  const std::vector<TidyRun> runs = ledger.plan(limits);
  ASSERT_FALSE(runs.empty());
  EXPECT_EQ(runs.front().parts.front().first, 1u);
  EXPECT_TRUE(runs.front().dead.contains(task(1, 0)));
  EXPECT_FALSE(runs.front().dead.contains(task(1, 9)));
}

// Each task leaves a short record behind that the next one has replaced, beside long ones that are needed. By their
// number that is a third of what is kept, by their bytes a tenth.
TEST_F(StoreLedger, WhatIsReplacedInTheCourseOfThingsIsCountedByItsBytes) {
  TidyLimits limits;
  limits.garbage_bytes_min = 1;
  limits.young_segments = 0;
  for (std::uint64_t batch = 1; batch <= 100; ++batch) {
    BatchEffects effects;
    effects.needed = 30;
    effects.passing = 10;
    effects.passing_bytes = 1'000;
    ledger.apply(batch, 10'000, 30, effects);
    BatchEffects replaced;
    for (std::uint64_t n = 0; n < 10; ++n) replaced.released.push_back(task(batch, n));
    ledger.apply_effects(replaced);
  }
  EXPECT_EQ(ledger.garbage_bytes(), 100'000u);
  EXPECT_TRUE(ledger.plan(limits).empty());
  // What dies after those is what lasts, each its share.
  BatchEffects forgotten;
  for (std::uint64_t batch = 1; batch <= 100; ++batch) {
    for (std::uint64_t n = 10; n < 20; ++n) forgotten.released.push_back(task(batch, n));
  }
  ledger.apply_effects(forgotten);
  EXPECT_EQ(ledger.garbage_bytes(), 100u * (1'000 + 4'500));
  EXPECT_FALSE(ledger.plan(limits).empty());
}

TEST_F(StoreLedger, TheMiddleIsThatOfWhatIsKept) {
  EXPECT_EQ(ledger.middle(), 0u);
  for (std::uint64_t batch = 1; batch <= 101; ++batch) submit(batch);
  EXPECT_EQ(ledger.middle(), 51u);
  for (std::uint64_t batch = 1; batch <= 50; ++batch) release(101 + batch, batch);
  EXPECT_EQ(ledger.trim(152), 51u);
  EXPECT_EQ(ledger.middle(), 101u);
}

TEST_F(StoreLedger, WhatIsReleasedDuringARewriteIsStillKnownAfterIt) {
  TidyLimits limits;
  limits.garbage_bytes_min = 1;
  limits.young_segments = 0;
  submit(1);
  release(2, 1, 8);
  const std::vector<TidyRun> runs = ledger.plan(limits);
  ASSERT_EQ(runs.size(), 1u);
  BatchEffects meanwhile;
  meanwhile.released = {task(1, 8), task(1, 9)};
  ledger.apply_effects(meanwhile);
  ledger.tidied(runs.front(), {.bytes = 200, .needed = 2, .forgotten = 0, .submitted = 0, .ended = {}, .requeued = {}});
  EXPECT_EQ(ledger.trim(3), 3u);
}

TEST_F(StoreLedger, AForgottenRecordStaysUntilItsTaskIsGone) {
  TidyLimits limits;
  limits.garbage_bytes_min = 1;
  limits.young_segments = 0;
  submit(1);
  submit(2);
  release(3, 2, 8);
  const TidyRun none;
  EXPECT_FALSE(ledger.forgettable(task(2, 0), none));
  const std::vector<TidyRun> runs = ledger.plan(limits);
  ASSERT_FALSE(runs.empty());
  EXPECT_TRUE(ledger.forgettable(task(2, 0), runs.front()));
  ledger.tidied(runs.front(), {.bytes = 200, .needed = 2, .forgotten = 0, .submitted = 0, .ended = {}, .requeued = {}});
  EXPECT_TRUE(ledger.forgettable(task(2, 0), none));
}

TEST_F(StoreLedger, SmallSegmentsArePutTogether) {
  TidyLimits limits;
  limits.small_segments_max = 50;
  limits.young_segments = 0;
  limits.run_bytes_max = 30'000;
  for (std::uint64_t batch = 1; batch <= 100; ++batch) submit(batch);
  const std::vector<TidyRun> runs = ledger.plan(limits);
  ASSERT_EQ(runs.size(), 4u);
  EXPECT_EQ(runs[0].parts.size(), 30u);
  EXPECT_EQ(runs[0].last, 30u);
  EXPECT_EQ(runs[1].parts.front().first, 31u);
  ledger.tidied(runs[0], {.bytes = 30'000, .needed = 300, .forgotten = 0, .submitted = 0, .ended = {}, .requeued = {}});
  EXPECT_EQ(ledger.segments(), 71u);
  EXPECT_EQ(ledger.lowest(200), 1u);
}

}  // namespace
}  // namespace retire::store
