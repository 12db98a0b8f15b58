// The file system that stops at its first failure: RocksDB hears that all goes well, the disk is left as it is, and
// whoever asks is told what failed.
#include "broker/store/fail_stop.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <utility>
#include <vector>

#include "tests/fault/store/engine_on_sim.hpp"

namespace retire::store {
namespace {

using rocksdb::Env;
using rocksdb::IOOptions;

class FailStop : public testing::Test {
 protected:
  FailStop() : machine_(1), env_(*machine_.env, "/data/store") {}

  std::unique_ptr<rocksdb::FSWritableFile> file(const std::string& path) {
    std::unique_ptr<rocksdb::FSWritableFile> out;
    EXPECT_TRUE(env_.GetFileSystem()->NewWritableFile(path, {}, &out, nullptr).ok());
    return out;
  }
  // The next call that changes something fails.
  void break_disk() { machine_.disk->fail_at(1, SimDisk::Fault::NoSpace, false); }
  std::string content(const std::string& path) {
    const SimDisk::Files files = machine_.disk->files();
    const auto at = files.find(path);
    return at == files.end() ? "(none)" : at->second;
  }
  void expect_failed(const std::string& what) {
    const Status health = env_.health();
    ASSERT_FALSE(health.ok());
    EXPECT_EQ(health.error().code, ErrorCode::StorageFailed);
    EXPECT_NE(health.error().detail.find(what), std::string::npos) << health.error().detail;
    EXPECT_NE(health.error().detail.find("injected: no space"), std::string::npos) << health.error().detail;
  }

  Machine machine_;
  FailStopEnv env_;
};

TEST_F(FailStop, AFileThatFailedIsNeverTouchedAgain) {
  const auto log = file("/data/store/7.log");
  ASSERT_TRUE(log->Append("before", {}, nullptr).ok());
  ASSERT_TRUE(log->Sync({}, nullptr).ok());
  EXPECT_TRUE(env_.health().ok());
  break_disk();
  EXPECT_TRUE(log->Sync({}, nullptr).ok()) << "RocksDB is not told";
  expect_failed("cannot fsync /data/store/7.log");
  const std::uint64_t calls = machine_.disk->calls();
  EXPECT_TRUE(log->Append("after", {}, nullptr).ok());
  EXPECT_TRUE(log->Sync({}, nullptr).ok());
  EXPECT_TRUE(log->Fsync({}, nullptr).ok());
  EXPECT_TRUE(log->Truncate(1, {}, nullptr).ok());
  EXPECT_TRUE(log->Close({}, nullptr).ok());
  EXPECT_EQ(content("/data/store/7.log"), "before");
  EXPECT_EQ(machine_.disk->calls(), calls);
}

TEST_F(FailStop, NothingElseChangesEither) {
  ASSERT_TRUE(rocksdb::WriteStringToFile(&env_, "kept", "/data/store/kept", true).ok());
  const auto log = file("/data/store/7.log");
  break_disk();
  EXPECT_TRUE(log->Append("x", {}, nullptr).ok());
  expect_failed("cannot write /data/store/7.log");
  const SimDisk::Files before = machine_.disk->files();
  EXPECT_TRUE(env_.DeleteFile("/data/store/kept").ok());
  EXPECT_TRUE(env_.RenameFile("/data/store/kept", "/data/store/CURRENT").ok());
  EXPECT_TRUE(env_.LinkFile("/data/store/kept", "/data/store/other").ok());
  EXPECT_TRUE(env_.Truncate("/data/store/kept", 0).ok());
  const auto made = file("/data/store/made");
  EXPECT_TRUE(made->Append("x", {}, nullptr).ok());
  EXPECT_TRUE(made->Sync({}, nullptr).ok());
  std::unique_ptr<rocksdb::Directory> directory;
  EXPECT_TRUE(env_.NewDirectory("/data/store", &directory).ok());
  EXPECT_TRUE(directory->Fsync().ok());
  EXPECT_EQ(machine_.disk->files(), before);
  // Reading goes on.
  std::string text;
  EXPECT_TRUE(rocksdb::ReadFileToString(&env_, "/data/store/kept", &text).ok());
  EXPECT_EQ(text, "kept");
  EXPECT_TRUE(env_.FileExists("/data/store/made").IsNotFound());
}

TEST_F(FailStop, TheFirstFailureIsTheOneThatIsTold) {
  const auto log = file("/data/store/7.log");
  machine_.disk->fail_at(1, SimDisk::Fault::NoSpace, true);
  EXPECT_TRUE(log->Append("x", {}, nullptr).ok());
  EXPECT_TRUE(env_.DeleteFile("/data/store/7.log").ok());
  expect_failed("cannot write /data/store/7.log");
}

// That something is not there is an answer; and what lies elsewhere, a backup for example, fails alone.
TEST_F(FailStop, OnlyAFailureBelowTheDirectoryCounts) {
  EXPECT_TRUE(env_.DeleteFile("/data/store/nowhere").IsNotFound());
  EXPECT_TRUE(env_.health().ok());
  const auto copy = file("/data/store-copy/1.sst");
  break_disk();
  EXPECT_TRUE(copy->Append("x", {}, nullptr).IsNoSpace());
  EXPECT_TRUE(env_.health().ok());
}

TEST_F(FailStop, EachKindOfChangeIsNoticed) {
  const std::vector<std::pair<std::string, std::function<bool(Env&)>>> changes = {
      {"make /data/store/new",
       [](Env& env) { return rocksdb::WriteStringToFile(&env, "x", "/data/store/new", true).ok(); }},
      {"remove /data/store/kept", [](Env& env) { return env.DeleteFile("/data/store/kept").ok(); }},
      {"rename /data/store/other",
       [](Env& env) { return env.RenameFile("/data/store/kept", "/data/store/other").ok(); }},
      {"open /data/store",
       [](Env& env) {
         std::unique_ptr<rocksdb::Directory> directory;
         return env.NewDirectory("/data/store", &directory).ok();
       }},
  };
  for (const auto& [what, change] : changes) {
    Machine machine(2);
    FailStopEnv env(*machine.env, "/data/store");
    ASSERT_TRUE(rocksdb::WriteStringToFile(&env, "kept", "/data/store/kept", true).ok());
    machine.disk->fail_at(1, SimDisk::Fault::Io, false);
    EXPECT_TRUE(change(env)) << what;
    ASSERT_FALSE(env.health().ok()) << what;
    EXPECT_NE(env.health().error().detail.find("cannot " + what), std::string::npos) << env.health().error().detail;
  }
}

}  // namespace
}  // namespace retire::store
