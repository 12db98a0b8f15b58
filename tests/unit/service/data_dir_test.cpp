#include "broker/service/data_dir.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "broker/store/epoch_file.hpp"
#include "common/base/ids.hpp"

namespace retire::service {
namespace {

class DataDirTest : public testing::Test {
 protected:
  DataDirTest() {
    std::string name = (std::filesystem::temp_directory_path() / "rc-data-dir-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~DataDirTest() override { std::filesystem::remove_all(path_); }
  std::string path_;
};

TEST_F(DataDirTest, EachRunHasALargerNumber) {
  Result<DataDir> directory = DataDir::open(path_);
  ASSERT_TRUE(directory.ok()) << directory.error().detail;
  EXPECT_EQ(directory.value().next_epoch().value(), 1u);
  EXPECT_EQ(directory.value().next_epoch().value(), 2u);
  EXPECT_EQ(store::read_epoch(path_).value(), 2u);
}

TEST_F(DataDirTest, ANumberThatCannotBeReadIsRefusedAndKept) {
  std::ofstream(path_ + "/epoch") << "seven\n";
  Result<DataDir> directory = DataDir::open(path_);
  ASSERT_TRUE(directory.ok());
  const Result<std::uint64_t> epoch = directory.value().next_epoch();
  ASSERT_FALSE(epoch.ok());
  EXPECT_EQ(epoch.error().code, ErrorCode::Configuration);
  std::string kept;
  std::ifstream(path_ + "/epoch") >> kept;
  EXPECT_EQ(kept, "seven");
}

// Attempts have 24 bits for it.
TEST_F(DataDirTest, ANumberThatAttemptsCannotCarryIsRefused) {
  const std::uint64_t max = (std::uint64_t{1} << (64 - kAttemptCounterBits)) - 1;
  Result<DataDir> directory = DataDir::open(path_);
  ASSERT_TRUE(directory.ok());
  ASSERT_TRUE(store::write_epoch(path_, max - 1).ok());
  EXPECT_EQ(directory.value().next_epoch().value(), max);
  EXPECT_EQ(directory.value().next_epoch().error().code, ErrorCode::Configuration);
}

TEST_F(DataDirTest, ALookFromOutsideKnowsWhetherAMainRuns) {
  {
    const Result<DataDir::Use> use = DataDir::use(path_);
    ASSERT_TRUE(use.ok());
    EXPECT_FALSE(use.value().is_running());
    EXPECT_TRUE(std::filesystem::is_empty(path_)) << "a look makes nothing";
  }
  {
    const Result<DataDir> main = DataDir::open(path_);
    ASSERT_TRUE(main.ok());
    EXPECT_TRUE(DataDir::use(path_).value().is_running());
  }
  const Result<DataDir::Use> use = DataDir::use(path_);
  EXPECT_FALSE(use.value().is_running());
  EXPECT_EQ(DataDir::open(path_).error().code, ErrorCode::Configuration) << "none starts during a look";
}

TEST_F(DataDirTest, ADirectoryThatIsNotThereIsNamed) {
  const Result<DataDir::Use> use = DataDir::use(path_ + "/nowhere");
  ASSERT_FALSE(use.ok());
  EXPECT_EQ(use.error().code, ErrorCode::Configuration);
  EXPECT_NE(use.error().detail.find("nowhere"), std::string::npos) << use.error().detail;
}

}  // namespace
}  // namespace retire::service
