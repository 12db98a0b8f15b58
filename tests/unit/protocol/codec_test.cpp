#include "common/protocol/codec.hpp"

#include <gtest/gtest.h>

#include "common/base/rng.hpp"

namespace retire::protocol {
namespace {

std::string valid_submit() {
  SubmitBatch batch(true);
  TaskSpec spec;
  spec.type = "echo";
  spec.requirements.required_tags = {"a", "b"};
  const std::uint32_t index = batch.add_spec(spec);
  batch.add(Uuid(1, 2), index, "\xa2hi");
  batch.add(std::nullopt, index, std::string(100, '\x01'));
  return batch.take(7);
}

Status decode_any(std::string_view frame) {
  std::uint64_t correlation = 0;
  const Result<Envelope> envelope = decode_envelope(frame, correlation);
  if (!envelope.ok()) return envelope.error();
  Submit submit;
  Hello hello;
  Results results;
  Finished finished;
  Assign assign;
  const ByteView body = envelope.value().body;
  for (const Status& status : {decode(body, submit), decode(body, hello), decode(body, results), decode(body, finished),
                               decode(body, assign)}) {
    if (status.ok()) return ok_status();
  }
  return Error{ErrorCode::Malformed, ""};
}

TEST(Codec, BatchIsEmptyAgainAfterTake) {
  SubmitBatch batch(false);
  batch.add(std::nullopt, batch.add_spec(TaskSpec{"echo", Priority::Normal, {}, ""}), "\xc0");
  batch.take(1);
  EXPECT_EQ(batch.count(), 0u);
  EXPECT_EQ(batch.bytes(), 0u);
}

// What a peer sent is quoted in errors, which people and logs get as one line.
TEST(Codec, AnErrorIsOneLineWhateverItQuotes) {
  std::string frame;
  encode(frame, 7, ErrorReply{ErrorCode::Invalid, "must be a type, got \"a\nb\tc\x1b[31m\x7f\"; \u00e9", {}, {}, {}});
  std::uint64_t correlation = 0;
  const Result<Envelope> envelope = decode_envelope(frame, correlation);
  ASSERT_TRUE(envelope.ok());
  ErrorReply error;
  ASSERT_TRUE(decode(envelope.value().body, error).ok());
  EXPECT_EQ(error.message, "must be a type, got \"a b c [31m \"; \u00e9");
}

TEST(Codec, EveryPrefixOfAMessageIsRefused) {
  const std::string frame = valid_submit();
  for (std::size_t size = 0; size < frame.size(); ++size) {
    std::uint64_t correlation = 0;
    const Result<Envelope> envelope = decode_envelope(std::string_view(frame).substr(0, size), correlation);
    if (!envelope.ok()) continue;
    Submit submit;
    EXPECT_FALSE(decode(envelope.value().body, submit).ok()) << size;
  }
}

// Bytes that were changed at random are read or refused, and nothing else happens; run it with sanitizers.
TEST(Codec, MutatedMessagesHarmNothing) {
  const std::string frame = valid_submit();
  Rng rng(1);
  std::size_t refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string mutant = frame;
    const std::uint64_t changes = 1 + rng.below(4);
    for (std::uint64_t n = 0; n < changes; ++n) {
      mutant[rng.below(mutant.size())] = static_cast<char>(rng.below(256));
    }
    if (!decode_any(mutant).ok()) ++refused;
  }
  EXPECT_GT(refused, 1'000u);
}

TEST(Codec, LogLinesComeBack) {
  const std::vector<LogLine> lines = {{LogLevel::Info, 12, "one"}, {LogLevel::Error, 99, "two"}};
  std::vector<LogLine> read;
  ASSERT_TRUE(decode_log_lines(encode_log_lines(lines), read).ok());
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[1].text, "two");
  EXPECT_EQ(read[1].level, LogLevel::Error);
  EXPECT_EQ(read[1].us_since_start, 99u);
}

TEST(Codec, LongErrorMessagesAreCutBetweenCharacters) {
  FinishedBatch batch;
  std::string message(kErrorMessageBytesMax - 1, 'x');
  message += "\xc3\xa9";  // e with an accent, across the limit
  FinishedItem item;
  item.outcome = Outcome::Failed;
  item.error_message = message;
  batch.add(item);
  const std::string frame = batch.take(1);
  std::uint64_t correlation = 0;
  Finished read;
  ASSERT_TRUE(decode(decode_envelope(frame, correlation).value().body, read).ok());
  EXPECT_EQ(read.results[0].error_message.size(), kErrorMessageBytesMax - 1);
}

TEST(Codec, OneValueIsExactlyOne) {
  EXPECT_TRUE(is_one_value("\xc0", 16));
  EXPECT_FALSE(is_one_value("\xc0\xc0", 16));
  EXPECT_FALSE(is_one_value("", 16));
  EXPECT_FALSE(is_one_value(std::string(20, '\x91') + "\xc0", 16));
}

}  // namespace
}  // namespace retire::protocol
