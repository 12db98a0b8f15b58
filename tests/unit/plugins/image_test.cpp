#include "plugins/loader/image.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "plugins/loader/loaded_plugin.hpp"
#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire {
namespace {

using testing::HasSubstr;

std::string content_of(int descriptor) {
  std::string out(64, '\0');
  out.resize(static_cast<std::size_t>(pread(descriptor, out.data(), out.size(), 0)));
  return out;
}

TEST(Image, IsACopyWithItsHash) {
  const test::TemporaryDirectory directory;
  const auto file = directory.write("a.so", "abc");
  const Result<PluginImage> image = PluginImage::read(file);
  ASSERT_TRUE(image.ok()) << image.error().detail;
  EXPECT_EQ(image.value().hash(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // FIPS 180-2
  EXPECT_EQ(image.value().size(), 3u);
  EXPECT_EQ(image.value().file(), file.string());
  EXPECT_EQ(content_of(image.value().descriptor()), "abc");
  EXPECT_EQ(image.value().state(), state_of(file).value());
}

TEST(Image, StaysWhatItWas) {
  const test::TemporaryDirectory directory;
  const auto file = directory.write("a.so", "abc");
  const Result<PluginImage> image = PluginImage::read(file);
  ASSERT_TRUE(image.ok());
  directory.write("a.so", "something else");
  EXPECT_NE(image.value().state(), state_of(file).value());
  EXPECT_EQ(content_of(image.value().descriptor()), "abc");
}

TEST(Image, CannotBeChangedByAnybodyWhoHasIt) {
  const test::TemporaryDirectory directory;
  const Result<PluginImage> image = PluginImage::read(directory.write("a.so", "abc"));
  ASSERT_TRUE(image.ok());
  const int descriptor = image.value().descriptor();
  EXPECT_LT(pwrite(descriptor, "x", 1, 0), 0);
  EXPECT_NE(ftruncate(descriptor, 1), 0);
  EXPECT_NE(ftruncate(descriptor, 9), 0);
  EXPECT_EQ(mmap(nullptr, 3, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), MAP_FAILED);
  EXPECT_NE(fcntl(descriptor, F_ADD_SEALS, 0), 0) << "nor can its seals";
  const int again = open(("/proc/self/fd/" + std::to_string(descriptor)).c_str(), O_RDWR | O_CLOEXEC);
  if (again >= 0) {  // root may open it
    EXPECT_LT(pwrite(again, "x", 1, 0), 0);
    close(again);
  }
  EXPECT_EQ(content_of(descriptor), "abc");
}

TEST(Image, CanBeLoadedAsAPlugin) {
  const Result<PluginImage> image = PluginImage::read(RC_FIXTURE_DIR "/sound.so");
  ASSERT_TRUE(image.ok());
  const std::string from = "/proc/self/fd/" + std::to_string(image.value().descriptor());
  const Result<LoadedPlugin> plugin = LoadedPlugin::open(image.value().file(), from);
  EXPECT_TRUE(plugin.ok()) << plugin.error().detail;
}

TEST(Image, AFileThatIsBeingWrittenIsNotComplete) {
  const test::TemporaryDirectory directory;
  const auto file = directory.write("a.so", "half");
  {
    std::ofstream writer(file, std::ios::app);
    ASSERT_TRUE(writer.is_open());
    const Result<PluginImage> image = PluginImage::read(file);
    ASSERT_FALSE(image.ok());
    EXPECT_EQ(image.error().code, ErrorCode::Busy);
    EXPECT_THAT(image.error().detail, HasSubstr(file.string()));
    writer << " and half";
  }
  const Result<PluginImage> image = PluginImage::read(file);
  ASSERT_TRUE(image.ok()) << image.error().detail;
  EXPECT_EQ(content_of(image.value().descriptor()), "half and half");
}

TEST(Image, WhatIsNoFileIsRefused) {
  const test::TemporaryDirectory directory;
  EXPECT_EQ(PluginImage::read(directory.path() / "missing.so").error().code, ErrorCode::PluginNotFound);
  EXPECT_EQ(PluginImage::read(directory.path()).error().code, ErrorCode::PluginRefused);
  const auto pipe = directory.path() / "pipe.so";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(PluginImage::read(pipe).error().code, ErrorCode::PluginRefused);  // and does not wait for a writer
}

TEST(Image, AFileBeyondTheLimitIsRefusedNamingBoth) {
  const test::TemporaryDirectory directory;
  const auto file = directory.write("a.so", "");
  std::filesystem::resize_file(file, kPluginFileBytesMax + 1);  // a hole
  const Result<PluginImage> image = PluginImage::read(file);
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.error().code, ErrorCode::PluginRefused);
  EXPECT_THAT(image.error().detail, HasSubstr("536870913"));
  EXPECT_THAT(image.error().detail, HasSubstr("536870912"));
}

}  // namespace
}  // namespace retire
