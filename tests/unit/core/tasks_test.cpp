#include "broker/core/tasks.hpp"

#include <gtest/gtest.h>

#include "common/base/rng.hpp"

namespace retire::core {
namespace {

TEST(TaskTable, FindsEachTaskAfterManyAdditionsAndRemovals) {
  TaskTable table;
  Rng rng(3);
  std::vector<std::pair<TaskId, TaskIndex>> kept;
  for (int i = 0; i < 20'000; ++i) {
    if (!kept.empty() && rng.below(3) == 0) {
      const std::size_t at = rng.below(kept.size());
      table.remove(kept[at].second);
      EXPECT_FALSE(table.find(kept[at].first));
      kept[at] = kept.back();
      kept.pop_back();
    } else {
      const TaskId id(rng.next(), rng.next());
      kept.emplace_back(id, table.add(id));
    }
  }
  EXPECT_EQ(table.size(), kept.size());
  for (const auto& [id, place] : kept) EXPECT_EQ(table.find(id), place);
}

TEST(PluginNames, AreKeptOnceAndGoWithTheLastWhoHasThem) {
  PluginNames names;
  EXPECT_EQ(names.intern(""), nullptr);
  const PluginName one = names.intern("echo 1 sha256:00");
  PluginName two = names.intern("echo 2 sha256:01");
  ASSERT_NE(one, nullptr);
  EXPECT_EQ(*one, "echo 1 sha256:00");
  EXPECT_EQ(names.intern("echo 1 sha256:00"), one);
  EXPECT_EQ(names.intern("echo 2 sha256:01"), two);
  const std::weak_ptr<const std::string> gone = two;
  two.reset();
  names.intern("echo 1 sha256:00");
  EXPECT_TRUE(gone.expired());
}

TEST(PluginNames, AreBoundedHoweverManyAreMadeUp) {
  PluginNames names;
  std::vector<PluginName> held;
  for (std::size_t i = 0; i < PluginNames::kMax + 100; ++i) held.push_back(names.intern(std::to_string(i)));
  EXPECT_NE(held.front(), nullptr);
  EXPECT_EQ(held.back(), nullptr) << "what is too many is not known";
  held.resize(1);
  PluginName again;
  for (int i = 0; i < 2'000 && again == nullptr; ++i) again = names.intern("another");
  EXPECT_NE(again, nullptr) << "there is room again";
}

TEST(TaskTable, WalksFromTheNewestAndSkipsHoles) {
  TaskTable table;
  std::vector<TaskIndex> places;
  for (std::uint64_t i = 0; i < 3'000; ++i) places.push_back(table.add(TaskId(1, i)));
  for (std::size_t i = 500; i < 2'500; ++i) table.remove(places[i]);
  std::vector<std::uint64_t> seen;
  table.newest_first(0, [&](TaskIndex task) { return seen.push_back(table[task].sequence), true; });
  ASSERT_EQ(seen.size(), 1'000u);
  EXPECT_TRUE(std::is_sorted(seen.rbegin(), seen.rend()));
  EXPECT_EQ(seen.front(), 3'000u);
  EXPECT_EQ(seen.back(), 1u);

  std::size_t older = 0;
  table.newest_first(501, [&](TaskIndex) { return ++older, true; });
  EXPECT_EQ(older, 500u) << "sequences 1 to 500";
}

TEST(TaskTable, ACancelledTaskKeepsItsAttemptBesideItsEnding) {
  TaskTable table;
  const TaskIndex task = table.add(TaskId(1, 1));
  EXPECT_FALSE(table.attempt(task));
  table.set_attempt(task, AttemptIndex{7});
  EXPECT_EQ(table.attempt(task), AttemptIndex{7});
  EXPECT_EQ(table.find_ending(task), nullptr);
  table.ending(task).stored_bytes = 3;
  EXPECT_EQ(table.attempt(task), AttemptIndex{7});
  table.set_attempt(task, {});
  EXPECT_FALSE(table.attempt(task));
  EXPECT_EQ(table.find_ending(task)->stored_bytes, 3u);
  table.set_attempt(task, AttemptIndex{8});
  table.drop_ending(task);
  EXPECT_EQ(table.find_ending(task), nullptr);
  EXPECT_EQ(table.attempt(task), AttemptIndex{8});
}

TEST(TaskTable, KeepsTheTimeOfCreation) {
  TaskTable table;
  const TaskIndex task = table.add(TaskId(1, 1));
  for (const std::int64_t us : {std::int64_t{0}, std::int64_t{1}, std::int64_t{-1}, std::int64_t{1'700'000'000'123'456},
                                std::int64_t{7'000'000'000'000'000}}) {
    table[task].set_created_at(WallTime(Duration(us)));
    EXPECT_EQ(table[task].created_at(), WallTime(Duration(us)));
    EXPECT_EQ(table[task].status, TaskStatus::Pending);
  }
}

TEST(TaskTable, CountsByStatus) {
  TaskTable table;
  const TaskIndex task = table.add(TaskId(1, 1));
  EXPECT_EQ(table.count(TaskStatus::Pending), 1u);
  table.set_status(task, TaskStatus::Queued);
  EXPECT_EQ(table.count(TaskStatus::Pending), 0u);
  EXPECT_EQ(table.count(TaskStatus::Queued), 1u);
  table.remove(task);
  EXPECT_EQ(table.count(TaskStatus::Queued), 0u);
}

}  // namespace
}  // namespace retire::core
