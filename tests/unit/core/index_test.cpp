#include "broker/core/index.hpp"

#include <gtest/gtest.h>

#include "broker/core/attempts.hpp"
#include "broker/core/blob.hpp"
#include "broker/core/payload.hpp"

namespace retire::core {
namespace {

TEST(Slab, UsesFreedPlacesAgainAndResetsThem) {
  Slab<int, TaskIndex> slab;
  const TaskIndex first = slab.add();
  slab[first] = 7;
  slab.remove(first);
  const TaskIndex second = slab.add();
  EXPECT_EQ(second, first);
  EXPECT_EQ(slab[second], 0);
  EXPECT_EQ(slab.size(), 1u);
}

TEST(Slab, KeepsAddressesWhileItGrows) {
  Slab<int, TaskIndex> slab;
  const TaskIndex first = slab.add();
  int* address = &slab[first];
  for (int i = 0; i < 5'000; ++i) slab.add();
  EXPECT_EQ(address, &slab[first]);
}

TEST(Slab, MakesAndEndsEachObjectOnce) {
  static int alive = 0;
  struct Counted {
    Counted() { ++alive; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = default;
    ~Counted() { --alive; }
    char bytes[kHugePage / 8 + 1] = {};  // few of them to a chunk
  };
  {
    Slab<Counted, TaskIndex> slab;
    EXPECT_EQ(alive, 0);
    for (int i = 0; i < 20; ++i) slab.add();
    slab.remove({3});
    slab.add();
    EXPECT_EQ(alive, 21) << "and the one at place 0";
  }
  EXPECT_EQ(alive, 0);
}

TEST(Payload, KeepsBytesOfEverySize) {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{64}, (std::size_t{1} << 18) - 2,
                                 (std::size_t{1} << 18) - 1, std::size_t{1} << 18, Payload::kBytesMax}) {
    std::string bytes(size, 'x');
    if (size > 0) bytes.back() = 'y';
    Payload payload(bytes);
    EXPECT_TRUE(payload.view() == bytes);
    EXPECT_TRUE(payload.is(bytes));
    EXPECT_EQ(payload.size(), size);
    EXPECT_EQ(payload.resident(), size);
    payload.drop();
    EXPECT_EQ(payload.size(), size);
    EXPECT_EQ(payload.resident(), 0u);
    EXPECT_TRUE(payload.is(bytes));
    EXPECT_FALSE(payload.is(bytes + 'z'));
  }
}

TEST(Bits, FindsWhatIsCommonFromAnyStart) {
  Bits a;
  Bits b;
  for (const std::uint32_t i : {1u, 64u, 200u}) a.set(i);
  for (const std::uint32_t i : {64u, 200u, 500u}) b.set(i);
  EXPECT_TRUE(a.intersects(b));
  std::vector<std::uint32_t> seen;
  a.for_each_common(b, 150, [&](std::uint32_t i) { return seen.push_back(i), true; });
  EXPECT_EQ(seen, (std::vector<std::uint32_t>{200, 64}));
  b.reset(64);
  b.reset(200);
  EXPECT_FALSE(a.intersects(b));
}

TEST(Blob, KeepsBytesAndEmptiness) {
  EXPECT_TRUE(Blob().empty());
  EXPECT_TRUE(Blob("").empty());
  EXPECT_EQ(Blob(std::string_view("a\0b", 3)).view(), std::string_view("a\0b", 3));
}

TEST(AttemptTable, FindsWhatIsThereAfterManyRemovals) {
  AttemptTable table;
  std::vector<AttemptIndex> places;
  for (std::uint64_t i = 1; i <= 3'000; ++i) places.push_back(table.add(make_attempt(1, i)));
  for (std::size_t i = 0; i < places.size(); i += 2) table.remove(places[i]);
  for (std::uint64_t i = 1; i <= 3'000; ++i) {
    EXPECT_EQ(static_cast<bool>(table.find(make_attempt(1, i))), i % 2 == 0) << i;
  }
  EXPECT_EQ(table.size(), 1'500u);
}

}  // namespace
}  // namespace retire::core
