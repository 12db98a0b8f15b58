// The parts of hosts that need no process.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstring>

#include "common/model/limits.hpp"
#include "common/protocol/codec.hpp"
#include "worker/host/death.hpp"
#include "worker/host/log_buffer.hpp"
#include "worker/host/manifest.hpp"
#include "worker/host/result_ring.hpp"
#include "worker/host/setup.hpp"
#include "worker/host/text.hpp"
#include "worker/host/unanswered.hpp"

namespace retire::host {
namespace {

TEST(CleanText, LeavesGoodTextAlone) {
  EXPECT_EQ(clean_text("grüße 🙂", 100), "grüße 🙂");
  EXPECT_EQ(clean_text("", 100), "");
}

TEST(CleanText, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(clean_text("a\xff"
                       "b\xc3",
                       100),
            "a?b?");
  EXPECT_EQ(clean_text("\xed\xa0\x80", 100), "???");  // a surrogate
  EXPECT_EQ(clean_text("ü\x80ü", 100), "ü?ü");
}

TEST(CleanText, CutsBetweenCharacters) {
  EXPECT_EQ(clean_text("aü", 2), "a");
  EXPECT_EQ(clean_text("aü", 3), "aü");
  EXPECT_EQ(clean_text("🙂🙂", 7), "🙂");
}

TEST(OutputTail, KeepsTheLastLines) {
  OutputTail tail;
  tail.add("one\ntwo\n");
  EXPECT_EQ(tail.text(), "one\ntwo");
  for (int i = 0; i < 100'000; ++i) tail.add("line " + std::to_string(i) + "\n");
  const std::string text = tail.text();
  EXPECT_LE(text.size(), 4096u);
  EXPECT_TRUE(text.ends_with("line 99999"));
  EXPECT_TRUE(text.starts_with("line "));
}

TEST(Death, NamesTheLimitThatWasMet) {
  const sandbox::Limits limits{std::uint64_t{300} << 20, std::uint64_t{4} << 30, 0, 0, 60};
  EXPECT_EQ(describe_death(SIGSEGV, 14u << 20, limits), "signal 11 (SIGSEGV); peak memory 14 MiB");
  EXPECT_EQ(describe_death(3 << 8, 14u << 20, limits), "exit status 3; peak memory 14 MiB");
  EXPECT_EQ(describe_death(SIGXFSZ, 0, limits),
            "signal 25 (SIGXFSZ), at the limit of 4 GiB for a file; peak memory 0 MiB");
  EXPECT_EQ(describe_death(SIGXCPU, 0, limits),
            "signal 24 (SIGXCPU), at the limit of 60 s of processor time; peak memory 0 MiB");
  EXPECT_EQ(describe_death(SIGABRT, 290u << 20, limits),
            "signal 6 (SIGABRT), at the limit of 300 MiB of memory; peak memory 290 MiB");
  EXPECT_EQ(describe_death(SIGKILL, 1u << 20, limits),
            "signal 9 (SIGKILL), which may have been the kernel, out of memory; peak memory 1 MiB");
}

TEST(Death, NamesTheLimitOfAllProcessesTogether) {
  cgroup::Use group;
  group.limits = {std::uint64_t{300} << 20, 64};
  group.peak_bytes = std::uint64_t{300} << 20;
  EXPECT_EQ(describe_death(SIGSEGV, 14u << 20, {}, group),
            "signal 11 (SIGSEGV); peak memory 14 MiB, 300 MiB of all its processes and files");
  group.oom_kills = 5;
  group.limit_kills = 1;
  EXPECT_EQ(
      describe_death(SIGKILL, 14u << 20, {}, group),
      "killed by the kernel: the memory limit of 300 MiB of all its processes together was hit; peak memory 14 MiB, "
      "300 MiB of all its processes and files");
  group.limit_kills = 0;
  EXPECT_THAT(describe_death(SIGKILL, 14u << 20, {}, group),
              testing::HasSubstr("the machine, or a control group above"));
}

TEST(Death, TellsOfProcessesThatWereRefused) {
  cgroup::Use group;
  group.limits = {0, 64};
  EXPECT_EQ(describe_met(SIGKILL, group), "");
  group.processes_refused = 12;
  EXPECT_EQ(describe_met(SIGKILL, group), "its host was refused 12 processes beyond the limit of 64");
  EXPECT_THAT(describe_death(SIGSEGV, 0, {}, group), testing::HasSubstr("; its host was refused 12 processes"));
}

TEST(LogBuffer, KeepsWithinTheLimitsAndSaysSo) {
  LogBuffer logs;
  EXPECT_EQ(logs.take(), "");
  for (int i = 0; i < 20'000; ++i) logs.add(1, "x\n", 1);
  std::vector<LogLine> lines;
  ASSERT_TRUE(protocol::decode_log_lines(logs.take(), lines).ok());
  EXPECT_EQ(lines.size(), kLogLinesMax);
  EXPECT_EQ(lines.front().text, "x");
  EXPECT_NE(lines.back().text.find("dropped"), std::string::npos);
  EXPECT_EQ(logs.take(), "");
}

TEST(LogBuffer, BoundsBytesLevelsAndLines) {
  LogBuffer logs;
  for (int i = 0; i < 300; ++i) logs.add(99, std::string(10'000, 'x'), 1);
  std::vector<LogLine> lines;
  ASSERT_TRUE(protocol::decode_log_lines(logs.take(), lines).ok());
  std::size_t bytes = 0;
  for (const LogLine& line : lines) bytes += line.text.size();
  EXPECT_LE(bytes, kLogBytesMax);
  EXPECT_EQ(lines.front().text.size(), kLogLineBytesMax);
  EXPECT_EQ(lines.front().level, LogLevel::Error);
}

TEST(Setup, ThereAndBack) {
  const host::Setup setup{"device", "settings"};
  host::Setup read;
  ASSERT_TRUE(decode_setup(encode_setup(setup), read));
  EXPECT_EQ(read.device, "device");
  EXPECT_EQ(read.settings, "settings");
}

TEST(Setup, RefusesNonsense) {
  host::Setup read;
  EXPECT_FALSE(decode_setup("", read));
  EXPECT_FALSE(decode_setup("1234567", read));
  EXPECT_FALSE(decode_setup(encode_setup({"a", "b"}) + "c", read));
}

TEST(Manifest, ThereAndBack) {
  Manifest manifest{"n", "v", {{{"echo", "does", "{}", true}, "no"}}};
  const Result<Manifest> read = decode_manifest(encode_manifest(manifest));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().name, "n");
  ASSERT_EQ(read.value().handlers.size(), 1u);
  EXPECT_EQ(read.value().handlers[0].info.name, "echo");
  EXPECT_TRUE(read.value().handlers[0].info.off_by_default);
  EXPECT_EQ(read.value().handlers[0].refusal, "no");
}

TEST(Manifest, RefusesNonsense) {
  for (const std::string& bytes : {std::string(), std::string("\xc1"), std::string("\x80"), std::string("hello"),
                                   encode_manifest({"n", "v", {{{"BAD NAME", "", "", false}, ""}}})}) {
    EXPECT_FALSE(decode_manifest(bytes).ok());
  }
  EXPECT_EQ(decode_manifest(encode_refusal("why")).error().detail, "why");
}

class Ring : public testing::Test {
 protected:
  Ring() : mapping(std::move(PageMapping::create()).value()), writer(mapping.page()), reader(mapping.page()) {}
  bool write(std::uint64_t sequence, std::string_view data) {
    ResultHeader written;
    written.sequence = sequence;
    ResultParts of_it;
    of_it.data = data;
    return writer.write(written, of_it);
  }
  PageMapping mapping;
  RingWriter writer;
  RingReader reader;
  ResultHeader header;
  ResultParts parts;
};

TEST_F(Ring, KeepsOrderAndContentOverManyRounds) {
  std::uint64_t written = 0;
  std::uint64_t read = 0;
  for (int round = 0; round < 200; ++round) {
    while (write(written + 1, std::string((written * 37) % 20'000, static_cast<char>('a' + written % 26)))) ++written;
    ASSERT_GT(written, read);
    while (reader.next(header, parts) == RingReader::Next::Record) {
      ASSERT_EQ(header.sequence, ++read);
      ASSERT_EQ(parts.data->size(), ((read - 1) * 37) % 20'000);
      if (!parts.data->empty()) {
        ASSERT_EQ(parts.data->back(), static_cast<char>('a' + (read - 1) % 26));
      }
    }
    ASSERT_EQ(read, written);
    reader.release();
  }
}

TEST_F(Ring, NoRoomUntilReleased) {
  while (write(1, std::string(60'000, 'x'))) {
  }
  while (reader.next(header, parts) == RingReader::Next::Record) {
  }
  EXPECT_FALSE(write(2, std::string(60'000, 'x')));
  reader.release();
  EXPECT_TRUE(write(2, std::string(60'000, 'x')));
}

TEST_F(Ring, GarbageIsSeenAsSuch) {
  ASSERT_TRUE(write(1, "abc"));
  std::memset(mapping.page().ring, 0xff, 64);
  EXPECT_EQ(reader.next(header, parts), RingReader::Next::Garbage);
}

TEST_F(Ring, AnyCountersAreBounded) {
  for (const std::uint64_t written : {std::uint64_t{7}, std::uint64_t{kRingBytes + 8}, UINT64_MAX, UINT64_MAX - 7}) {
    mapping.page().written.store(written);
    EXPECT_EQ(reader.next(header, parts), RingReader::Next::Garbage) << written;
  }
  mapping.page().written.store(64);  // zeroes, which say: go on at the beginning, which is here
  EXPECT_EQ(reader.next(header, parts), RingReader::Next::Garbage);
}

TEST(Unanswered, EachIsAnsweredOnceAndNoneThatWasNotGiven) {
  Unanswered unanswered;
  EXPECT_FALSE(unanswered.take(0));
  for (std::uint64_t sequence = 10; sequence < 20'010; sequence += 2) unanswered.add(sequence);
  EXPECT_FALSE(unanswered.take(9));
  EXPECT_FALSE(unanswered.take(11));
  EXPECT_TRUE(unanswered.take(14));  // not in order
  EXPECT_FALSE(unanswered.take(14));
  EXPECT_FALSE(unanswered.take(14 | std::uint64_t{1} << 63));
  EXPECT_EQ(unanswered.size(), 9'999u);
  for (std::uint64_t sequence = 10; sequence < 20'010; sequence += 2)
    EXPECT_EQ(unanswered.take(sequence), sequence != 14);
  EXPECT_EQ(unanswered.size(), 0u);
  EXPECT_FALSE(unanswered.take(20'008));
  unanswered.add(30'000);
  EXPECT_TRUE(unanswered.take(30'000));
}

TEST(Record, SizesThatDoNotFitAreRefused) {
  std::string bytes(1000, '\0');
  ResultHeader header;
  ResultParts parts;
  parts.data = "data";
  write_record(header, parts, bytes.data());
  ASSERT_TRUE(read_record(bytes.data(), bytes.size(), header, parts));
  for (std::size_t at : {0u, 24u, 28u, 32u, 36u}) {
    std::string wrong = bytes;
    wrong[at + 3] = '\x7f';
    EXPECT_FALSE(read_record(wrong.data(), wrong.size(), header, parts)) << at;
  }
  EXPECT_FALSE(read_record(bytes.data(), 39, header, parts));
}

}  // namespace
}  // namespace retire::host
