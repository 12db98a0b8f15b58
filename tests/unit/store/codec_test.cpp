// Records in batches: what goes in comes out, and what was not written by us is refused.
#include <gtest/gtest.h>

#include "broker/store/batch.hpp"
#include "tests/unit/store/records.hpp"

namespace retire::store {
namespace {

constexpr std::uint64_t kSalt = 0x1234567890abcdef;

struct Appended {
  Position position = 0;
  std::string text;
};

// One record of each kind, and a few tasks more.
std::vector<Appended> fill(BatchBuilder& batch, std::uint64_t number) {
  Maker maker;
  std::vector<Appended> out;
  const auto add = [&](const Record& record) {
    return out.push_back({batch.append(record), text_of(record)}), out.back().position;
  };
  batch.begin(number);
  for (std::uint64_t n = 0; n < 100; ++n) {
    const Position task = add(maker.submitted(n, n));
    if (n % 4 == 0) add(maker.dispatched(n, task));
    if (n % 5 == 0) add(maker.retried(n, task));
    if (n % 2 == 0) add(maker.ended(n, task, n));
    if (n % 10 == 0) add(maker.of(Record::Kind::Forgotten, n, task));
    if (n % 20 == 0) add(maker.of(Record::Kind::Requeued, n, task));
  }
  add(maker.device("device-1", "drained"));
  batch.finish(kSalt, number);
  return out;
}

Segment open(const std::string& value) {
  const Result<Header> header = check(value, kSalt);
  EXPECT_TRUE(header.ok());
  return Segment(value, header.value());
}

TEST(StoreCodec, EveryKindOfRecordComesOutAsItWentIn) {
  BatchBuilder batch;
  const std::vector<Appended> in = fill(batch, 7);
  Segment segment = open(batch.value());
  EXPECT_EQ(segment.header().records, in.size());
  Segment::Cursor cursor(segment);
  DecodedRecord record;
  std::size_t at = 0;
  while (const auto head = cursor.next()) {
    if (head->type == kSpecEntry) continue;
    ASSERT_TRUE(segment.decode(*head, record));
    EXPECT_EQ(head->position, in.at(at).position);
    EXPECT_EQ(text_of(record.record), in.at(at).text);
    ++at;
  }
  EXPECT_FALSE(cursor.damaged());
  EXPECT_EQ(at, in.size());
}

TEST(StoreCodec, PositionsGrowAndFindTheirRecord) {
  BatchBuilder batch;
  const std::vector<Appended> in = fill(batch, 7);
  Segment segment = open(batch.value());
  DecodedRecord record;
  Position last = 0;
  for (const Appended& each : in) {
    EXPECT_GT(each.position, last);
    EXPECT_EQ(batch_of(each.position), 7u);
    last = each.position;
    const auto head = segment.find(each.position);
    ASSERT_TRUE(head);
    ASSERT_TRUE(segment.decode(*head, record));
    EXPECT_EQ(text_of(record.record), each.text);
    EXPECT_FALSE(segment.find(each.position + 1));
  }
}

TEST(StoreCodec, ABatchThatIsUsedAgainHoldsNothingOfTheFormerOne) {
  BatchBuilder batch;
  fill(batch, 1);
  const std::string former = batch.value();
  fill(batch, 1);
  EXPECT_EQ(batch.value(), former);
}

TEST(StoreCodec, AnAddressUsedAgainForAnotherSpecIsAnotherSpec) {
  BatchBuilder batch;
  batch.begin(1);
  TaskSpec spec = spec_of(1);
  Record record = Maker().submitted(1);
  const std::string bytes = "x";
  record.task.payload = bytes;
  record.task.metadata = {};
  record.task.spec = &spec;
  batch.append(record);
  spec.type = "another";
  const Position second = batch.append(record);
  batch.finish(kSalt, 1);
  Segment segment = open(batch.value());
  DecodedRecord out;
  ASSERT_TRUE(segment.decode(*segment.find(second), out));
  EXPECT_EQ(out.record.task.spec->type, "another");
}

TEST(StoreCodec, TidiedSegmentsKeepPositionsAndDropTheRest) {
  BatchBuilder first;
  BatchBuilder second;
  const std::vector<Appended> one = fill(first, 1);
  const std::vector<Appended> two = fill(second, 2);
  SegmentWriter writer;
  std::vector<Appended> kept;
  for (const auto& [value, in] : {std::pair(first.value(), one), std::pair(second.value(), two)}) {
    const Segment segment = open(value);
    for (std::size_t i = 0; i < in.size(); i += 3) {
      ASSERT_TRUE(writer.keep(*segment.find(in[i].position), segment));
      kept.push_back(in[i]);
    }
  }
  writer.finish({.first = 1, .last = 2, .lowest = 1}, kSalt);
  EXPECT_LT(writer.bytes(), first.value().size());
  Segment segment = open(writer.value());
  DecodedRecord record;
  for (const Appended& each : kept) {
    const auto head = segment.find(each.position);
    ASSERT_TRUE(head);
    ASSERT_TRUE(segment.decode(*head, record));
    EXPECT_EQ(text_of(record.record), each.text);
  }
  EXPECT_FALSE(segment.find(one[1].position));
  EXPECT_TRUE(check(writer.ids(), kSalt).ok());
}

TEST(StoreCodec, EveryFlippedBitAndEveryCutIsNoticed) {
  Maker maker;
  BatchBuilder batch;
  batch.begin(3);
  const Position task = batch.append(maker.submitted(1));
  batch.append(maker.ended(1, task));
  batch.finish(kSalt, 3);
  const std::string value = batch.value();
  for (std::size_t bit = 0; bit < value.size() * 8; ++bit) {
    std::string flipped = value;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_FALSE(check(flipped, kSalt).ok()) << "bit " << bit;
  }
  for (std::size_t size = 0; size < value.size(); ++size) EXPECT_FALSE(check(value.substr(0, size), kSalt).ok());
  EXPECT_FALSE(check(value + "x", kSalt).ok());
  EXPECT_FALSE(check(value, kSalt + 1).ok());
}

// The checksum is no shield against our own mistakes: reading stays within bounds whatever stands there.
TEST(StoreCodec, DecodingStaysWithinBounds) {
  BatchBuilder batch;
  fill(batch, 1);
  const std::string value = batch.value();
  const Header header = check(value, kSalt).value();
  std::uint64_t random = 1;
  DecodedRecord record;
  for (int round = 0; round < 2'000; ++round) {
    std::string spoiled = value;
    for (int i = 0; i < 8; ++i) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const std::size_t at = kHeaderBytes + (random >> 33) % (spoiled.size() - kHeaderBytes);
      spoiled[at] = static_cast<char>(random >> 20);
    }
    Segment segment(spoiled, header);
    Segment::Cursor cursor(segment);
    std::size_t count = 0;
    while (const auto head = cursor.next()) {
      if (head->type != kSpecEntry) segment.decode(*head, record);
      segment.spec_entry(*head);
      ASSERT_LT(++count, value.size());
    }
  }
}

}  // namespace
}  // namespace retire::store
