#include "worker/core/outbox.hpp"

#include <gtest/gtest.h>

#include "common/model/limits.hpp"
#include "worker/core/limits.hpp"

namespace retire::worker {
namespace {

using Numbers = std::vector<std::uint64_t>;
using namespace std::chrono_literals;
const TimePoint kNow{100s};

Numbers due(Outbox& outbox, TimePoint now) {
  Numbers out;
  outbox.take_due(now, out);
  return out;
}

TEST(Outbox, ABatchIsSentOnceClosed) {
  Outbox outbox;
  EXPECT_EQ(outbox.add(0, 10), 1u);
  EXPECT_EQ(due(outbox, kNow), Numbers{});
  outbox.close();
  EXPECT_EQ(due(outbox, kNow), Numbers{1});
  EXPECT_EQ(due(outbox, kNow), Numbers{});
}

TEST(Outbox, ALargeOneBeginsAnother) {
  Outbox outbox;
  EXPECT_EQ(outbox.add(0, 10), 1u);
  EXPECT_EQ(outbox.add(1, kBatchBytesTarget), 2u);
  EXPECT_EQ(outbox.add(2, 10), 3u);
}

TEST(Outbox, ManyBeginAnother) {
  Outbox outbox;
  for (std::size_t i = 0; i < kBatchItemsTarget; ++i) ASSERT_EQ(outbox.add(kNone, 1), 1u);
  EXPECT_EQ(outbox.add(kNone, 1), 2u);
}

TEST(Outbox, UnacknowledgedOnesGoAgainAfterAWhile) {
  Outbox outbox;
  outbox.add(0, 10);
  outbox.close();
  due(outbox, kNow);
  EXPECT_EQ(outbox.next_deadline(), kNow + kResendAfter);
  EXPECT_EQ(due(outbox, kNow + kResendAfter - 1us), Numbers{});
  EXPECT_EQ(due(outbox, kNow + kResendAfter), Numbers{1});
}

TEST(Outbox, AckOutOfOrder) {
  Outbox outbox;
  for (AttemptIndex i = 0; i < 3; ++i) {
    outbox.add(i, 10);
    outbox.close();
  }
  due(outbox, kNow);
  bool known = false;
  EXPECT_EQ(outbox.acknowledged(2, known), 1u);
  EXPECT_TRUE(known);
  outbox.resend_all();
  EXPECT_EQ(due(outbox, kNow), (Numbers{1, 3}));
  EXPECT_EQ(outbox.acknowledged(1, known), 0u);
  EXPECT_EQ(outbox.acknowledged(3, known), 2u);
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0u);
}

TEST(Outbox, AcksOfNothingAreIgnored) {
  Outbox outbox;
  outbox.add(0, 10);
  bool known = true;
  outbox.acknowledged(1, known);  // still open: nobody can have it
  EXPECT_FALSE(known);
  outbox.close();
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{2}, UINT64_MAX}) {
    outbox.acknowledged(number, known);
    EXPECT_FALSE(known) << number;
  }
  EXPECT_EQ(outbox.acknowledged(1, known), 0u);
  outbox.acknowledged(1, known);  // twice
  EXPECT_FALSE(known);
}

TEST(Outbox, WhatCouldNotBeSentIsTriedSoon) {
  Outbox outbox;
  outbox.add(0, 10);
  outbox.close();
  due(outbox, kNow);
  outbox.not_sent(1, kNow + 20ms);
  EXPECT_EQ(due(outbox, kNow + 19ms), Numbers{});
  EXPECT_EQ(due(outbox, kNow + 20ms), Numbers{1});
}

}  // namespace
}  // namespace retire::worker
