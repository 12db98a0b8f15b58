// The worker's file of results: on a real disk, cut at every byte, full, and with a disk that confirms nothing.
#include "worker/outbox/outbox_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <sstream>

namespace retire::worker {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

class OutboxFileTest : public testing::Test {
 protected:
  OutboxFileTest() {
    std::string name = testing::TempDir() + "outbox-XXXXXX";
    directory = mkdtemp(name.data());
    file = directory / "outbox";
  }
  ~OutboxFileTest() override { fs::remove_all(directory); }

  OutboxFile open(OutboxFile::Options options = {}) {
    found = {};
    Result<OutboxFile> opened = OutboxFile::open(file, options, found);
    EXPECT_TRUE(opened.ok()) << opened.error().detail;
    return std::move(opened).value();
  }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
  }
  void write(const std::string& bytes) const { std::ofstream(file, std::ios::binary) << bytes; }

  fs::path directory;
  fs::path file;
  OutboxFile::Found found;
};

int no_sync(int /*descriptor*/) { return 0; }

int failing_sync(int /*descriptor*/) {
  errno = EIO;
  return -1;
}

TEST_F(OutboxFileTest, KeepsWhatIsNotAcknowledged) {
  {
    OutboxFile box = open();
    EXPECT_THAT(found.records, IsEmpty());
    ASSERT_TRUE(box.save({{1, "one"}, {2, "two"}}).ok());
    ASSERT_TRUE(box.save({{3, std::string(100'000, 'x')}}).ok());
    box.remove(2);
    box.remove(99);
  }
  OutboxFile box = open();
  EXPECT_THAT(found.records, ElementsAre(Pair(1, "one"), Pair(3, std::string(100'000, 'x'))));
  EXPECT_EQ(found.dropped_bytes, 0u);
  EXPECT_EQ(box.next_id(), 4u);
  box.remove(1);
  box.remove(3);
  OutboxFile again = open();
  EXPECT_THAT(found.records, IsEmpty());
}

TEST_F(OutboxFileTest, AnEmptyOneTakesNoRoom) {
  OutboxFile box = open();
  const auto empty = fs::file_size(file);
  for (std::uint64_t i = 1; i < 100; ++i) {
    ASSERT_TRUE(box.save({{i, "result"}}).ok());
    box.remove(i);
  }
  EXPECT_EQ(fs::file_size(file), empty);
}

TEST_F(OutboxFileTest, OnlyItsOwnerMayReadIt) {
  open();
  EXPECT_EQ(fs::status(file).permissions() & fs::perms(0077), fs::perms::none);
}

// A power cut or kill -9 may leave any part of what was written last.
TEST_F(OutboxFileTest, CutAtEveryByteItKeepsWhatIsWhole) {
  std::vector<std::size_t> ends;
  {
    OutboxFile box = open();
    for (std::uint64_t i = 1; i <= 5; ++i) {
      ends.push_back(content().size());
      ASSERT_TRUE(box.save({{i, "result " + std::to_string(i)}}).ok());
    }
  }
  const std::string whole = content();
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    write(whole.substr(0, cut));
    const OutboxFile box = open({.sync = no_sync});
    std::size_t expected = 0;
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if ((i + 1 < ends.size() ? ends[i + 1] : whole.size()) <= cut) expected = i + 1;
    }
    ASSERT_EQ(found.records.size(), expected) << "cut at " << cut;
    for (std::size_t i = 0; i < expected; ++i) EXPECT_EQ(found.records[i].second, "result " + std::to_string(i + 1));
    EXPECT_EQ(box.count(), expected);
  }
}

TEST_F(OutboxFileTest, NoFlippedBitBecomesAResult) {
  {
    OutboxFile box = open();
    ASSERT_TRUE(box.save({{1, "first"}, {2, "second"}, {3, "third"}}).ok());
  }
  const std::string whole = content();
  for (std::size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    write(bytes);
    open({.sync = no_sync});
    for (const auto& [id, result] : found.records) {
      EXPECT_TRUE(result == "first" || result == "second" || result == "third") << "bit " << bit;
    }
    EXPECT_LT(found.records.size(), 3u) << "bit " << bit;
    EXPECT_TRUE(found.dropped_bytes > 0 || !found.set_aside.empty()) << "bit " << bit;
  }
}

TEST_F(OutboxFileTest, GoesOnBehindATornEnd) {
  {
    OutboxFile box = open();
    ASSERT_TRUE(box.save({{1, "one"}}).ok());
  }
  write(content() + "torn");
  {
    OutboxFile box = open();
    EXPECT_EQ(found.dropped_bytes, 4u);
    ASSERT_TRUE(box.save({{2, "two"}}).ok());
  }
  open();
  EXPECT_THAT(found.records, ElementsAre(Pair(1, "one"), Pair(2, "two")));
}

TEST_F(OutboxFileTest, AForeignFileIsSetAside) {
  write("somebody's diary");
  {
    OutboxFile box = open();
    ASSERT_TRUE(box.save({{1, "one"}}).ok());
  }
  EXPECT_TRUE(fs::exists(found.set_aside));
  open();
  EXPECT_THAT(found.records, ElementsAre(Pair(1, "one")));
}

TEST_F(OutboxFileTest, WhatIsDeadMakesRoom) {
  OutboxFile box = open({.bytes_max = 4'000, .sync = no_sync});
  ASSERT_TRUE(box.save({{1, std::string(500, 'a')}}).ok());
  for (std::uint64_t i = 2; i < 200; ++i) {
    ASSERT_TRUE(box.save({{i, std::string(500, 'b')}}).ok()) << i;
    box.remove(i);
    ASSERT_LE(fs::file_size(file), 4'100u);
  }
  open();
  EXPECT_THAT(found.records, ElementsAre(Pair(1, std::string(500, 'a'))));
}

TEST_F(OutboxFileTest, WhatDoesNotFitIsRefusedWhole) {
  OutboxFile box = open({.bytes_max = 1'000});
  ASSERT_TRUE(box.save({{1, std::string(500, 'a')}}).ok());
  const Status status = box.save({{2, "b"}, {3, std::string(500, 'c')}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::TooLarge);
  EXPECT_THAT(status.error().detail, HasSubstr("1000"));
  EXPECT_TRUE(box.save({{2, "b"}}).ok());
  open();
  EXPECT_THAT(found.records, ElementsAre(Pair(1, std::string(500, 'a')), Pair(2, "b")));
}

// A limit of the kernel stands in for a disk that is full in the midst of a write.
TEST_F(OutboxFileTest, AFullDiskLosesNothingThatWasThere) {
  OutboxFile box = open();
  ASSERT_TRUE(box.save({{1, std::string(500, 'a')}}).ok());
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{700, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  const Status status = box.save({{2, std::string(500, 'b')}});
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_FALSE(status.ok());
  EXPECT_THAT(status.error().detail, HasSubstr("outbox: cannot be written"));
  ASSERT_TRUE(box.save({{3, "c"}}).ok()) << "there is room again";
  open();
  EXPECT_THAT(found.records, ElementsAre(Pair(1, std::string(500, 'a')), Pair(3, "c")));
  EXPECT_EQ(found.dropped_bytes, 0u);
}

TEST_F(OutboxFileTest, AfterADiskThatDidNotConfirmNothingIsCalledSaved) {
  OutboxFile::Options options;
  {
    OutboxFile good = open();
    ASSERT_TRUE(good.save({{1, "one"}}).ok());
  }
  options.sync = failing_sync;
  OutboxFile bad = open(options);
  for (int i = 0; i < 3; ++i) {
    const Status status = bad.save({{2, "two"}});
    ASSERT_FALSE(status.ok());
    EXPECT_THAT(status.error().detail, HasSubstr("confirm"));
    EXPECT_EQ(bad.count(), 1u);
  }
}

TEST_F(OutboxFileTest, ADirectoryThatIsNotThereIsNamed) {
  Result<OutboxFile> opened = OutboxFile::open("/no/such/directory/outbox", {}, found);
  ASSERT_FALSE(opened.ok());
  EXPECT_THAT(opened.error().detail, HasSubstr("/no/such/directory/outbox: cannot be opened"));
}

}  // namespace
}  // namespace retire::worker
