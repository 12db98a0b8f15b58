#include "plugins/loader/scan.hpp"

#include <gmock/gmock.h>

#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire {
namespace {

namespace fs = std::filesystem;

TEST(Scan, ListsPluginsInOrder) {
  const test::TemporaryDirectory directory;
  for (const char* name : {"b.so", "a.so", "c.so.1", "readme.txt", ".hidden.so", "so", "c.so"})
    directory.write(name, "");
  std::filesystem::create_directory(directory.path() / "below");
  directory.write("below/d.so", "");
  const auto found = scan_plugins(directory.path());
  ASSERT_TRUE(found.ok());
  const std::vector<std::filesystem::path> expected = {directory.path() / "a.so", directory.path() / "b.so",
                                                       directory.path() / "c.so"};
  EXPECT_EQ(found.value().files, expected);
  EXPECT_EQ(found.value().beyond, 0u);
}

TEST(Scan, TellsWhenThereIsNoDirectory) {
  const test::TemporaryDirectory directory;
  const auto missing = scan_plugins(directory.path() / "none");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::PluginNotFound);
  const auto file = scan_plugins(directory.write("file", ""));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.error().code, ErrorCode::Io);
}

TEST(Scan, BoundsTheNumberOfFiles) {
  const test::TemporaryDirectory directory;
  for (std::size_t i = 0; i < kPluginsPerDirectoryMax + 2; ++i) directory.write(std::to_string(10'000 + i) + ".so", "");
  const auto found = scan_plugins(directory.path());
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found.value().files.size(), kPluginsPerDirectoryMax);
  EXPECT_EQ(found.value().files.front(), directory.path() / "10000.so");
  EXPECT_EQ(found.value().files.back(), directory.path() / "11023.so");
  EXPECT_EQ(found.value().beyond, 2u);
  EXPECT_EQ(found.value().first_beyond, directory.path() / "11024.so");
  EXPECT_THAT(describe_beyond(found.value()), testing::HasSubstr("1024"));

  const fs::path used = directory.path() / "11025.so";
  const auto again = scan_plugins(directory.path(), {used.string()});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().files.size(), kPluginsPerDirectoryMax);
  EXPECT_EQ(again.value().files.back(), used);
  EXPECT_EQ(again.value().first_beyond, directory.path() / "11023.so");
}

}  // namespace
}  // namespace retire
