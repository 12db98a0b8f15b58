// What an attempt tells while it runs, from writer to reader, in memory that either may find in any state.
#include "worker/host/live_area.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

namespace retire::host {
namespace {

LogLine line_of(const std::string& text) { return {LogLevel::Info, 7, text}; }

std::vector<std::string> texts_of(const std::vector<LogLine>& lines) {
  std::vector<std::string> out;
  for (const LogLine& line : lines) out.push_back(line.text);
  return out;
}

using Texts = std::vector<std::string>;

class LiveAreaTest : public testing::Test {
 protected:
  std::unique_ptr<LiveArea> area = std::make_unique<LiveArea>();
  LiveWriter writer{*area};
  LiveReader reader{*area};
};

TEST_F(LiveAreaTest, NothingIsToldOfAnAttemptThatSaysNothing) {
  writer.begin(1);
  EXPECT_FALSE(reader.read(1, false).any());
  EXPECT_FALSE(reader.read(0, false).any());
  EXPECT_EQ(area->sequence.load(), 0u) << "the area was not touched";
}

TEST_F(LiveAreaTest, EachThingIsToldOnce) {
  writer.begin(1);
  writer.progress(0.25, "quarter");
  writer.line(0, line_of("a"));
  writer.line(1, line_of("b"));
  writer.checkpoint("one");
  const Told told = reader.read(1, false);
  EXPECT_TRUE(told.has_progress);
  EXPECT_EQ(told.fraction, 0.25);
  EXPECT_EQ(told.text, "quarter");
  EXPECT_EQ(told.first_line, 0u);
  EXPECT_EQ(texts_of(told.lines), (Texts{"a", "b"}));
  EXPECT_EQ(told.checkpoint, "one");
  EXPECT_FALSE(reader.read(1, false).any());

  writer.checkpoint("two");
  writer.checkpoint("three");
  const Told more = reader.read(1, false);
  EXPECT_FALSE(more.has_progress);
  EXPECT_EQ(more.checkpoint, "three");
  const Told again = reader.read(1, true);
  EXPECT_EQ(again.text, "quarter");
  EXPECT_EQ(again.checkpoint, "three");
  EXPECT_EQ(texts_of(again.lines), Texts{}) << "lines are not repeated";
}

TEST_F(LiveAreaTest, NothingGoesFromOneAttemptToTheNext) {
  writer.begin(1);
  writer.progress(0.5, "secret");
  writer.line(0, line_of("secret"));
  writer.checkpoint("secret");
  writer.begin(2);
  EXPECT_FALSE(reader.read(2, false).any());
  EXPECT_EQ(writer.latest_checkpoint(), "");
  writer.line(0, line_of("mine"));
  const Told told = reader.read(2, false);
  EXPECT_EQ(texts_of(told.lines), Texts{"mine"});
  EXPECT_FALSE(told.has_progress);
  EXPECT_FALSE(told.has_checkpoint);
  EXPECT_FALSE(reader.read(1, true).any()) << "that one is over";
  EXPECT_EQ(texts_of(reader.last(2).lines), Texts{"mine"});
}

TEST_F(LiveAreaTest, TheFirstAttemptReadAfterManyUnreadBeginsAtItsBeginning) {
  for (std::uint64_t sequence = 1; sequence < 50; ++sequence) {
    writer.begin(sequence);
    for (std::uint64_t i = 0; i < 20; ++i) writer.line(i, line_of(std::string(2'000, 'x')));
  }
  writer.begin(50);
  writer.line(0, line_of("first"));
  EXPECT_EQ(texts_of(reader.read(50, false).lines), Texts{"first"});
}

TEST_F(LiveAreaTest, AFloodLeavesLinesOutInOnePieceAndSaysWhich) {
  writer.begin(1);
  for (std::uint64_t i = 0; i < 5'000; ++i) writer.line(i, line_of(std::string(100, 'x')));
  const Told first = reader.read(1, false);
  EXPECT_EQ(first.first_line, 0u);
  EXPECT_EQ(first.lines.size(), kLiveLogBytes / 116);
  writer.line(5'000, line_of("after"));
  const Told second = reader.read(1, false);
  EXPECT_EQ(second.first_line, 5'000u);
  EXPECT_EQ(texts_of(second.lines), Texts{"after"});
}

TEST_F(LiveAreaTest, LinesWrapAround) {
  writer.begin(1);
  std::uint64_t number = 0;
  std::size_t read = 0;
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 7; ++i, ++number)
      writer.line(number, line_of(std::to_string(number) + std::string(1'111, 'y')));
    const Told told = reader.read(1, false);
    ASSERT_EQ(told.lines.size(), 7u);
    for (const LogLine& line : told.lines) ASSERT_EQ(line.text, std::to_string(read++) + std::string(1'111, 'y'));
  }
}

TEST_F(LiveAreaTest, TheLastWordsOfAHostAreAllItsLinesAndItsLatestCheckpoint) {
  writer.begin(1);
  writer.line(0, line_of("a"));
  writer.checkpoint("early");
  reader.read(1, false);
  writer.line(1, line_of("b"));
  writer.checkpoint("late");
  const LiveReader::Last last = reader.last(1);
  EXPECT_EQ(texts_of(last.lines), (Texts{"a", "b"}));
  EXPECT_EQ(last.checkpoint, "late");
  EXPECT_EQ(texts_of(reader.last(9).lines), Texts{});
}

TEST_F(LiveAreaTest, TheLargestCheckpointArrivesWhole) {
  writer.begin(1);
  const std::string large(kCheckpointBytesMax, 'c');
  writer.checkpoint(large);
  EXPECT_EQ(reader.read(1, false).checkpoint, large);
  EXPECT_EQ(writer.latest_checkpoint(), large);
}

// Any place and length, also across words: neighbours stay as they were.
TEST(SharedBytes, CopiesWhatIsAskedForAndNothingElse) {
  SharedBytes<32> bytes;
  for (std::size_t at = 0; at < 32; ++at) {
    for (std::size_t size = 0; at + size <= 32; ++size) {
      std::string expected(32, '.');
      bytes.write(0, expected.data(), expected.size());
      const std::string text = std::string("abcdefghijklmnopqrstuvwxyz012345").substr(0, size);
      bytes.write(at, text.data(), size);
      expected.replace(at, size, text);
      ASSERT_EQ(std::string(bytes.begin(), 32), expected);
      std::string back(size, '\0');
      bytes.read(at, back.data(), size);
      ASSERT_EQ(back, text);
    }
  }
}

// A handler that wrote over everything.
TEST_F(LiveAreaTest, GarbageIsNotBelieved) {
  writer.begin(1);
  writer.line(0, line_of("good"));
  writer.progress(0.5, "good");
  const std::string nonsense(kLiveLogBytes, '\xff');
  area->log.write(0, nonsense.data(), nonsense.size());
  area->text_bytes.store(UINT32_MAX);
  area->text.write(0, nonsense.data(), kProgressTextBytesMax);
  area->log_written.store(UINT64_MAX - 7);
  area->checkpoint_done.store(UINT64_MAX);
  area->checkpoint_bytes[1].store(UINT32_MAX);
  EXPECT_FALSE(reader.read(1, false).any());
  area->log_written.store(area->log_written.load() + 60'000);
  EXPECT_FALSE(reader.read(1, true).any());
  area->fraction.store(UINT64_MAX);
  area->progress_changes.store(8);
  area->text_bytes.store(0);
  EXPECT_FALSE(reader.read(1, true).any());
  area->progress_changes.store(7);
  EXPECT_FALSE(reader.read(1, true).any());
  EXPECT_EQ(reader.last(1).checkpoint, "");
}

// What is read while it is written is whole or is not given.
TEST_F(LiveAreaTest, AWriterAndAReaderAtTheSameTime) {
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> current{0};
  std::thread other([&] {
    for (std::uint64_t sequence = 1; !stop; ++sequence) {
      writer.begin(sequence);
      const std::string text(40, static_cast<char>('a' + sequence % 26));
      for (std::uint64_t i = 0; i < 50; ++i) {
        writer.progress(static_cast<double>(sequence % 26) / 26, text);
        writer.line(i, line_of(text));
        writer.checkpoint(text + text);
        if (i == 0) current.store(sequence);
      }
    }
  });
  std::size_t found = 0;
  // Until enough was found, not so often: on a busy machine the writer may not run at all during any number of reads.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (found < 500 && std::chrono::steady_clock::now() < deadline) {
    const std::uint64_t sequence = current.load();
    const Told told = reader.read(sequence, false);
    if (!told.any()) continue;
    ++found;
    const std::string text(40, static_cast<char>('a' + sequence % 26));
    if (told.has_progress) {
      ASSERT_EQ(told.text, text);
      ASSERT_EQ(told.fraction, static_cast<double>(sequence % 26) / 26);
    }
    if (told.has_checkpoint) {
      ASSERT_EQ(told.checkpoint, text + text);
    }
    for (const LogLine& line : told.lines) ASSERT_EQ(line.text, text);
  }
  stop = true;
  other.join();
  EXPECT_GT(found, 0u);
}

}  // namespace
}  // namespace retire::host
