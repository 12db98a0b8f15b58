#include "plugins/loader/trust.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr uid_t kSomebody = 12345;

// DIR/plugins/p.so, trusted, below the system's directory for temporary files (which has the sticky bit).
class Trust : public testing::Test {
 protected:
  Trust() {
    fs::create_directory(folder_);
    mode(folder_, 0755);
    file_ = directory_.write("plugins/p.so", "x");
    mode(file_, 0644);
  }
  static void mode(const fs::path& path, mode_t bits) { ASSERT_EQ(chmod(path.c_str(), bits), 0); }
  static void give_away(const fs::path& path) { ASSERT_EQ(lchown(path.c_str(), kSomebody, kSomebody), 0); }
  static void expect_refused(const fs::path& path, const std::string& part, const std::string& why) {
    const Status status = check_trusted(path);
    ASSERT_FALSE(status.ok()) << path;
    EXPECT_EQ(status.error().code, ErrorCode::PluginRefused);
    EXPECT_THAT(status.error().detail, HasSubstr(part));
    EXPECT_THAT(status.error().detail, HasSubstr(why));
  }
  static std::string reason(const fs::path& path) {
    const Status status = check_trusted(path);
    return status.ok() ? "trusted" : status.error().detail;
  }

  test::TemporaryDirectory directory_;
  fs::path folder_ = directory_.path() / "plugins";
  fs::path file_;
};

TEST_F(Trust, AcceptsWhatOnlyWeCanChange) { EXPECT_EQ(reason(file_), "trusted"); }

TEST_F(Trust, RefusesAFileThatOthersCanWrite) {
  mode(file_, 0646);
  expect_refused(file_, "p.so", "writable by everybody");
}

// What check_trusted_open() says of `opened`, a file that was opened by the name of `file_`.
class TrustOpen : public Trust {
 protected:
  Status check(const fs::path& opened) {
    const int descriptor = open(opened.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_GE(descriptor, 0);
    Status status = check_trusted_open(file_, descriptor);
    close(descriptor);
    return status;
  }
  fs::path other() {
    fs::path path = directory_.write("other", "x");
    mode(path, 0644);
    return path;
  }
};

TEST_F(TrustOpen, AcceptsTheFileOfThatName) { EXPECT_TRUE(check(file_).ok()); }

TEST_F(TrustOpen, AnotherFileThanTheNameLeadsToIsNotIt) {
  const Status status = check(other());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::Busy);
  EXPECT_THAT(status.error().detail, HasSubstr("p.so: was replaced"));
}

TEST_F(TrustOpen, WhatWasOpenedIsCheckedAndNotItsNameAlone) {
  const fs::path swapped = other();
  mode(swapped, 0646);
  EXPECT_THAT(check(swapped).error().detail, HasSubstr("writable by everybody"));
  mode(swapped, 0644);
  EXPECT_THAT(check(directory_.path()).error().detail, HasSubstr("not a regular file"));
  if (geteuid() != 0) return;  // the rest needs root
  give_away(swapped);
  EXPECT_THAT(check(swapped).error().detail, HasSubstr("owned by user 12345"));
}

TEST_F(Trust, RefusesADirectoryThatOthersCanWrite) {
  mode(folder_, 0757);
  expect_refused(file_, "plugins", "writable by everybody");
}

TEST_F(Trust, RefusesADirectoryFurtherUp) {
  mode(directory_.path(), 0777);
  expect_refused(file_, directory_.path().string(), "writable by everybody");
}

TEST_F(Trust, RefusesWhatAGroupCanWrite) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to give a file to another group";
  ASSERT_EQ(chown(file_.c_str(), 0, kSomebody), 0);
  mode(file_, 0664);
  expect_refused(file_, "p.so", "writable by its group");
  mode(file_, 0644);
  ASSERT_EQ(chown(folder_.c_str(), 0, kSomebody), 0);
  mode(folder_, 0775);
  expect_refused(file_, "plugins", "writable by its group");
}

TEST_F(Trust, AcceptsAStickyDirectory) {
  mode(folder_, 01777);
  EXPECT_EQ(reason(file_), "trusted");
}

TEST_F(Trust, RefusesAFileOfSomebodyElse) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to give a file away";
  give_away(file_);
  expect_refused(file_, "p.so", "owned by user 12345");
}

TEST_F(Trust, RefusesADirectoryOfSomebodyElseEvenIfSticky) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to give a directory away";
  give_away(folder_);
  mode(folder_, 01777);
  expect_refused(file_, "plugins", "owned by user 12345");
}

TEST_F(Trust, FollowsALinkWithinTrustedPlaces) {
  const fs::path link = directory_.path() / "link.so";
  fs::create_symlink("plugins/../plugins/p.so", link);
  EXPECT_EQ(reason(link), "trusted");
  fs::create_directory_symlink(folder_, directory_.path() / "dir");
  EXPECT_EQ(reason(directory_.path() / "dir" / "p.so"), "trusted");
}

TEST_F(Trust, RefusesALinkThatLeadsToAnUntrustedPlace) {
  const fs::path outside = directory_.path() / "outside";
  fs::create_directory(outside);
  directory_.write("outside/evil.so", "x");
  mode(outside, 0777);
  const fs::path link = folder_ / "evil.so";
  fs::create_symlink("../outside/evil.so", link);
  expect_refused(link, "outside", "writable by everybody");
  fs::create_directory_symlink(outside, folder_ / "dir");
  expect_refused(folder_ / "dir" / "evil.so", "outside", "writable by everybody");
}

TEST_F(Trust, RefusesALinkOfSomebodyElse) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to give a link away";
  const fs::path link = directory_.path() / "link.so";
  fs::create_symlink(file_, link);
  give_away(link);
  expect_refused(link, "link.so", "owned by user 12345");
}

TEST_F(Trust, RefusesWhatIsNoFile) {
  expect_refused(folder_, "plugins", "not a regular file");
  expect_refused("/dev/null", "/dev/null", "writable by everybody");
  const fs::path pipe = folder_ / "pipe.so";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  expect_refused(pipe, "pipe.so", "not a regular file");
}

TEST_F(Trust, RefusesLinksThatGoInCircles) {
  fs::create_symlink("b.so", folder_ / "a.so");
  fs::create_symlink("a.so", folder_ / "b.so");
  expect_refused(folder_ / "a.so", "a.so", "too many symbolic links");
}

TEST_F(Trust, TellsWhatIsMissing) {
  for (const fs::path& path : {folder_ / "none.so", directory_.path() / "none" / "p.so"}) {
    const Status status = check_trusted(path);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::PluginNotFound);
  }
  fs::create_symlink("nowhere", folder_ / "dangling.so");
  const Status dangling = check_trusted(folder_ / "dangling.so");
  ASSERT_FALSE(dangling.ok());
  EXPECT_EQ(dangling.error().code, ErrorCode::PluginNotFound);
}

}  // namespace
}  // namespace retire
