#include "plugins/loader/image.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "plugins/loader/loaded_plugin.hpp"
#include "plugins/loader/trust.hpp"
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

// vm.memfd_noexec belongs to a namespace of processes, so it is set in one made for this. Exits with 0 if a plugin
// loads then, 2 if no such namespace or setting can be had here, else 1.
[[noreturn]] void load_where_memory_is_not_executed(int setting) {
  if (unshare(CLONE_NEWPID) != 0) _exit(2);
  const pid_t inside = fork();
  if (inside < 0) _exit(2);
  if (inside > 0) {
    int status = 0;
    _exit(waitpid(inside, &status, 0) == inside && WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  }
  std::ofstream sysctl("/proc/sys/vm/memfd_noexec");
  if (!(sysctl << setting << std::flush)) _exit(2);
  const Result<PluginImage> image = PluginImage::read(RC_FIXTURE_DIR "/sound.so");
  if (!image.ok()) {
    std::fprintf(stderr, "%s\n", image.error().detail.c_str());
    _exit(1);
  }
  const std::string from = "/proc/self/fd/" + std::to_string(image.value().descriptor());
  const Result<LoadedPlugin> plugin = LoadedPlugin::open(image.value().file(), from);
  if (!plugin.ok()) std::fprintf(stderr, "%s\n", plugin.error().detail.c_str());
  const bool sealed = pwrite(image.value().descriptor(), "x", 1, 0) < 0;
  _exit(plugin.ok() && sealed ? 0 : 1);
}

class ImageUnderNoexec : public testing::TestWithParam<int> {};

TEST_P(ImageUnderNoexec, IsSealedAndLoads) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) load_where_memory_is_not_executed(GetParam());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 2) GTEST_SKIP() << "skipped: vm.memfd_noexec cannot be set here (root, Linux 6.3)";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

INSTANTIATE_TEST_SUITE_P(Settings, ImageUnderNoexec, testing::Values(1, 2));

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

// As somebody who swaps it between a look at its name and its opening.
TEST(Image, TheFileThatIsOpenIsTheOneThatIsCheckedAndCopied) {
  const test::TemporaryDirectory directory;
  const auto file = directory.write("a.so", "good");
  std::string seen;
  const Result<PluginImage> image = PluginImage::read(file, [&](int descriptor) {
    std::filesystem::rename(directory.write("other", "new"), file);
    seen = content_of(descriptor);
    return check_trusted_open(file, descriptor);
  });
  EXPECT_EQ(seen, "good");
  ASSERT_FALSE(image.ok());
  EXPECT_EQ(image.error().code, ErrorCode::Busy);
  const Result<PluginImage> again =
      PluginImage::read(file, [&](int descriptor) { return check_trusted_open(file, descriptor); });
  ASSERT_TRUE(again.ok()) << again.error().detail;
  EXPECT_EQ(content_of(again.value().descriptor()), "new");
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
