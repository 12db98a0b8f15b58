#include "plugins/loader/scan.hpp"

#include <gtest/gtest.h>

#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire {
namespace {

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
  EXPECT_EQ(found.value(), expected);
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
  for (std::size_t i = 0; i <= kPluginsPerDirectoryMax; ++i) directory.write(std::to_string(i) + ".so", "");
  const auto found = scan_plugins(directory.path());
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, ErrorCode::TooLarge);
}

}  // namespace
}  // namespace retire
