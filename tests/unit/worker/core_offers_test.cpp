// Plugins come, change and go while the worker runs.
#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

TEST(CoreOffers, MainIsToldOfEachChange) {
  CoreHarness h;
  h.join();
  EXPECT_EQ(h.hellos.back().device->handlers, (std::vector<std::string>{"echo", "sleep"}));
  EXPECT_TRUE(h.updates.empty());
  h.offer({"echo", "new", "sleep"});
  ASSERT_EQ(h.updates.size(), 1u);
  EXPECT_EQ(h.updates[0].device.handlers, (std::vector<std::string>{"echo", "new", "sleep"}));
  h.assign({1}, {.type = "new"});
  ASSERT_EQ(h.given.size(), 1u);
  EXPECT_EQ(h.given[0].type, "new");
  h.turn();
  EXPECT_EQ(h.updates.size(), 1u) << "once";
}

TEST(CoreOffers, AHelloSaysWhatIsOfferedNow) {
  CoreHarness h;
  h.offer({"echo", "new"});
  h.join();
  EXPECT_EQ(h.hellos.back().device->handlers, (std::vector<std::string>{"echo", "new"}));
  EXPECT_TRUE(h.updates.empty());
}

TEST(CoreOffers, AChangeBetweenHelloAndWelcomeIsToldAfterIt) {
  CoreHarness h;
  h.turn();
  h.open_socket();
  ASSERT_EQ(h.hellos.size(), 1u);
  h.offer({"new"});
  EXPECT_TRUE(h.updates.empty());
  h.welcome();
  ASSERT_EQ(h.updates.size(), 1u);
  EXPECT_EQ(h.updates[0].device.handlers, std::vector<std::string>{"new"});
}

TEST(CoreOffers, OfAWithdrawnTypeWhatRunsEndsAndTheRestIsHandedBack) {
  CoreHarness h;
  h.join();
  h.assign({1, 2});
  h.assign({3}, {.type = "sleep"});
  h.offer({"sleep"});
  ASSERT_EQ(h.told_attempts(), Attempts{2});
  EXPECT_EQ(h.told[0].outcome, Outcome::HandedBack);
  h.assign({4});
  EXPECT_EQ(h.told_attempts(), (Attempts{2, 4}));
  h.answer(h.given[0]);
  EXPECT_EQ(h.told_attempts(), (Attempts{2, 4, 1}));
  EXPECT_EQ(h.told[2].outcome, Outcome::Success);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 3}));
}

TEST(CoreOffers, OfAWithdrawnTypeWhatAHostHasNotBegunIsHandedBackToo) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2, 3});
  ASSERT_EQ(h.given_attempts(), (Attempts{1, 2, 3}));
  h.offer({"sleep"});
  ASSERT_EQ(h.count(Order::Kind::TakeBack), 1);
  h.taken_back(0, h.given[0].sequence, h.now);
  EXPECT_EQ(h.told_attempts(), (Attempts{2, 3}));
  h.lost(0, h.given[0].sequence);
  ASSERT_EQ(h.told_attempts(), (Attempts{2, 3, 1}));
  EXPECT_EQ(h.told[2].outcome, Outcome::Crashed);
}

TEST(CoreOffers, AHostThatDiesAfterItsTypeWentHandsBackWhatItHadNotBegun) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1, 2});
  h.offer({"sleep"});
  h.lost(0, h.given[0].sequence);  // before the order to take back was answered
  ASSERT_EQ(h.told_attempts(), (Attempts{1, 2}));
  EXPECT_EQ(h.told[0].outcome, Outcome::Crashed);
  EXPECT_EQ(h.told[1].outcome, Outcome::HandedBack);
}

TEST(CoreOffers, OfAReplacedTypeWhatIsNotBegunRunsOnTheNewCode) {
  CoreHarness h(2);
  h.join();
  h.make_short();
  h.assign({1, 2, 3});
  const std::size_t before = h.given.size();
  ASSERT_EQ(before, 3u);
  const SlotIndex old = h.given[0].slot;
  h.offer({"echo", "sleep"}, {"echo"});
  ASSERT_EQ(h.count(Order::Kind::TakeBack), 1);
  h.taken_back(old, h.given[0].sequence, h.now);
  EXPECT_TRUE(h.told.empty()) << "nothing of it is main's business";
  ASSERT_EQ(h.given_attempts(), (Attempts{1, 2, 3, 2, 3}));
  EXPECT_NE(h.given[3].slot, old) << "its host has the old code";
  h.assign({4});
  EXPECT_NE(h.given.back().slot, old);
  h.answer(h.given[0]);
  h.answer(h.given[3]);
  h.answer(h.given[4]);
  h.answer(h.given[5]);
  EXPECT_EQ(h.told_attempts(), (Attempts{1, 2, 3, 4}));
}

TEST(CoreOffers, WithOneSlotTheNewCodeWaitsForTheOld) {
  CoreHarness h;
  h.join();
  h.make_short();
  h.assign({1});
  h.offer({"echo", "sleep"}, {"echo"});
  h.assign({2});
  EXPECT_EQ(h.given_attempts(), Attempts{1});
  h.answer(h.given[0]);
  EXPECT_EQ(h.given_attempts(), (Attempts{1, 2}));
}

TEST(CoreOffers, TypesThatComeAndGoForEverTakeNoMoreRoom) {
  CoreHarness h;
  h.join();
  h.assign({1});  // goes on meanwhile
  for (int i = 0; i < 1000; ++i) h.offer({"made-" + std::to_string(i)});
  h.assign({2}, {.type = "made-999"});
  h.answer(h.given[0]);
  ASSERT_EQ(h.given.size(), 2u);
  EXPECT_EQ(h.given[0].type, "echo");
  EXPECT_EQ(h.given[1].type, "made-999");
  TypeTable types;
  TypeIndex last = 0;
  for (int i = 0; i < 1000; ++i) {
    types.offer({"made-" + std::to_string(i)}, {});
    last = std::max(last, types.find_offered("made-" + std::to_string(i)));
  }
  EXPECT_LT(last, 100u);
}

}  // namespace
}  // namespace retire::worker
