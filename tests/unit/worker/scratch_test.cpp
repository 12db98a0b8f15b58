// Trees that handlers may leave, made to be hard to remove.
#include "worker/sandbox/scratch.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr rlim_t kFewDescriptors = 72;
constexpr int kSomebody = 65'533;

// A chain of `levels` directories in `within`, each of this mode in the end.
void make_chain(const fs::path& within, const std::string& name, int levels, mode_t mode) {
  int at = open(within.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_GE(at, 0);
  std::string next = name;
  for (int i = 0; i < levels; ++i) {
    ASSERT_EQ(mkdirat(at, next.c_str(), 0700), 0);
    const int below = openat(at, next.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ASSERT_GE(below, 0);
    if (i > 0) fchmod(at, mode);  // `below` is open and needs it no more
    close(at);
    at = below;
    next = "d";
  }
  fchmod(at, mode);
  close(at);
}

// clear_directory() in a process of its own, which has few descriptors and, if it may choose, is no root.
bool clears_in_need(const fs::path& path, bool as_somebody) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit few{kFewDescriptors, kFewDescriptors};
    setrlimit(RLIMIT_NOFILE, &few);
    if (as_somebody && geteuid() == 0 && setresuid(kSomebody, kSomebody, kSomebody) != 0) _exit(2);
    _exit(clear_directory(path) ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(Scratch, ATreeOfThousandsOfLevelsGoes) {
  const test::TemporaryDirectory directory;
  make_chain(directory.path(), "deep", 3'000, 0700);
  EXPECT_TRUE(clears_in_need(directory.path(), false));
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(Scratch, NoNameThatWasMadeBeforehandStandsInTheWay) {
  const test::TemporaryDirectory directory;
  // Some before and some after the names: either may be found first.
  for (int i = 0; i < 10; ++i) make_chain(directory.path(), "deep-" + std::to_string(i), 80, 0700);
  for (int i = 1; i <= 2'000; ++i) {
    const fs::path taken = directory.path() / (".moved-" + std::to_string(i));
    if (i % 3 == 0) {
      fs::create_symlink("nowhere", taken);
    } else if (i % 3 == 1) {
      fs::create_directories(taken / "kept");
    } else {
      std::ofstream(taken) << "x";
    }
  }
  for (int i = 10; i < 20; ++i) make_chain(directory.path(), "deep-" + std::to_string(i), 80, 0700);
  EXPECT_TRUE(clears_in_need(directory.path(), false));
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(Scratch, WhatIsLockedGoesThoughNobodyIsRoot) {
  const test::TemporaryDirectory directory;
  make_chain(directory.path(), "deep", 300, 0);
  if (geteuid() == 0) {
    ASSERT_EQ(chown(directory.path().c_str(), kSomebody, kSomebody), 0);
    for (const auto& entry : fs::recursive_directory_iterator(directory.path())) {
      ASSERT_EQ(lchown(entry.path().c_str(), kSomebody, kSomebody), 0);
    }
  }
  EXPECT_TRUE(clears_in_need(directory.path(), true));
  EXPECT_TRUE(fs::is_empty(directory.path()));
}

TEST(Scratch, NoLinkIsFollowed) {
  const test::TemporaryDirectory elsewhere;
  fs::create_directory(elsewhere.path() / "locked");
  const fs::path kept = elsewhere.write("kept", "x");
  ASSERT_EQ(chmod((elsewhere.path() / "locked").c_str(), 0), 0);
  const test::TemporaryDirectory directory;
  fs::create_directories(directory.path() / "a/b");
  for (const char* name : {"link", "a/link", "a/b/.moved-1"}) {
    fs::create_directory_symlink(elsewhere.path(), directory.path() / name);
    fs::create_directory_symlink(elsewhere.path() / "locked", directory.path() / (std::string(name) + "2"));
  }
  EXPECT_TRUE(clears_in_need(directory.path(), false));
  EXPECT_TRUE(fs::is_empty(directory.path()));
  EXPECT_TRUE(fs::exists(kept));
  struct stat info {};
  ASSERT_EQ(stat((elsewhere.path() / "locked").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0u);
}

}  // namespace
}  // namespace retire::sandbox
