#include "worker/core/attempt_table.hpp"

#include <gtest/gtest.h>

#include <map>

#include "common/base/rng.hpp"

namespace retire::worker {
namespace {

AttemptIndex add(AttemptTable& table, std::uint64_t id, FrameIndex frame, Priority priority, std::uint64_t order) {
  const AttemptIndex index = table.add(AttemptId(id), frame);
  table.at(index).priority = priority;
  table.at(index).order = order;
  table.push(index);
  return index;
}

TEST(AttemptTable, ZeroIsNobody) {
  const AttemptTable table;
  EXPECT_EQ(table.find(AttemptId()), kNone);
  EXPECT_EQ(table.first(), kNone);
}

TEST(AttemptTable, FirstIsTheHighestPriorityThenTheOldest) {
  AttemptTable table;
  const FrameIndex frame = table.adopt_frame(nullptr, 0);
  add(table, 1, frame, Priority::Low, 1);
  add(table, 2, frame, Priority::Normal, 2);
  add(table, 3, frame, Priority::Urgent, 3);
  add(table, 4, frame, Priority::Urgent, 4);
  std::vector<std::uint64_t> order;
  for (AttemptIndex i = table.first(); i != kNone; i = table.first()) {
    order.push_back(table.at(i).id.value());
    table.unlink(i);
  }
  EXPECT_EQ(order, (std::vector<std::uint64_t>{3, 4, 2, 1}));
}

TEST(AttemptTable, WhatComesBackRegainsItsPlace) {
  AttemptTable table;
  const FrameIndex frame = table.adopt_frame(nullptr, 0);
  for (std::uint64_t i = 1; i <= 4; ++i) add(table, i, frame, Priority::Normal, i);
  const AttemptIndex second = table.find(AttemptId(2));
  const AttemptIndex first = table.find(AttemptId(1));
  table.unlink(first);
  table.unlink(second);
  table.push(second);
  table.push(first);
  table.check_invariants();
  EXPECT_EQ(table.first(), first);
  EXPECT_EQ(table.at(first).next, second);
}

TEST(AttemptTable, AFrameLivesAsLongAsItsAttempts) {
  AttemptTable table;
  auto bytes = std::make_shared<std::string>("payload");
  const std::weak_ptr<std::string> watched = bytes;
  const FrameIndex frame = table.adopt_frame(std::move(bytes), 7);
  const AttemptIndex one = add(table, 1, frame, Priority::Normal, 1);
  const AttemptIndex two = add(table, 2, frame, Priority::Normal, 2);
  table.release_frame(frame);
  EXPECT_EQ(table.frame_bytes(), 7u);
  table.unlink(one);
  table.drop_payload(one);
  table.remove(one);
  EXPECT_FALSE(watched.expired());
  table.unlink(two);
  table.remove(two);
  EXPECT_TRUE(watched.expired());
  EXPECT_EQ(table.frame_bytes(), 0u);
  table.check_invariants();
}

TEST(AttemptTable, AFrameWithoutAttemptsGoesAtOnce) {
  AttemptTable table;
  auto bytes = std::make_shared<int>(1);
  const std::weak_ptr<int> watched = bytes;
  table.release_frame(table.adopt_frame(std::move(bytes), 4));
  EXPECT_TRUE(watched.expired());
}

// Against a std::map, over many insertions and removals: deletion by moving back is easily wrong.
TEST(AttemptTable, FindsWhatAMapFinds) {
  Rng rng(42);
  AttemptTable table;
  std::map<std::uint64_t, AttemptIndex> model;
  const FrameIndex frame = table.adopt_frame(nullptr, 0);
  for (int step = 0; step < 60'000; ++step) {
    const std::uint64_t id = 1 + rng.below(5'000) * (rng.below(2) == 0 ? 1 : std::uint64_t{1} << 40);
    if (const auto known = model.find(id); known != model.end()) {
      ASSERT_EQ(table.find(AttemptId(id)), known->second);
      table.unlink(known->second);
      table.remove(known->second);
      model.erase(known);
    } else {
      ASSERT_EQ(table.find(AttemptId(id)), kNone);
      model[id] = add(table, id, frame, Priority::Normal, static_cast<std::uint64_t>(step));
    }
    if (step % 10'000 == 0) table.check_invariants();
  }
  for (const auto& [id, index] : model) EXPECT_EQ(table.find(AttemptId(id)), index);
  EXPECT_EQ(table.size(), model.size());
}

}  // namespace
}  // namespace retire::worker
