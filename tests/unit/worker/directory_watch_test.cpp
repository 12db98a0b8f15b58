#include "worker/service/directory_watch.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire::worker {
namespace {

namespace fs = std::filesystem;

// What came of all that is there to read; waits for the first.
bool told(DirectoryWatch& watch, int at_most_ms = 10'000) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(at_most_ms);
  while (std::chrono::steady_clock::now() < end) {
    pollfd wanted{watch.descriptor(), POLLIN, 0};
    if (poll(&wanted, 1, 50) > 0 && watch.drain()) return true;
  }
  return false;
}

// The kernel tells in order and at once, so what has not come by now will not.
bool told_nothing(DirectoryWatch& watch) { return !watch.drain(); }

class Watch : public testing::Test {
 protected:
  test::TemporaryDirectory directory;
  fs::path plugins = directory.path() / "lib" / "plugins";
};

TEST_F(Watch, TellsOfEveryKindOfChange) {
  fs::create_directories(plugins);
  DirectoryWatch watch({plugins});
  EXPECT_TRUE(watch.complete());
  EXPECT_TRUE(told_nothing(watch));
  std::ofstream(plugins / "a.so") << "a";
  EXPECT_TRUE(told(watch));
  std::ofstream(plugins / "a.so") << "b";
  EXPECT_TRUE(told(watch));
  fs::permissions(plugins / "a.so", fs::perms::all);
  EXPECT_TRUE(told(watch));
  std::ofstream(directory.path() / "new.so") << "c";
  EXPECT_TRUE(told_nothing(watch)) << "that is elsewhere";
  fs::rename(directory.path() / "new.so", plugins / "a.so");
  EXPECT_TRUE(told(watch));
  fs::remove(plugins / "a.so");
  EXPECT_TRUE(told(watch));
  EXPECT_TRUE(told_nothing(watch));
}

TEST_F(Watch, ADirectoryThatComesLaterIsWatchedThen) {
  DirectoryWatch watch({plugins});
  EXPECT_TRUE(watch.complete());
  fs::create_directory(directory.path() / "other");
  EXPECT_TRUE(told_nothing(watch));
  fs::create_directory(directory.path() / "lib");
  EXPECT_TRUE(told(watch));
  fs::create_directory(plugins);
  EXPECT_TRUE(told(watch));
  std::ofstream(plugins / "a.so") << "a";
  EXPECT_TRUE(told(watch));
}

TEST_F(Watch, ADirectoryThatIsReplacedIsWatchedAnew) {
  fs::create_directories(plugins);
  DirectoryWatch watch({plugins});
  const fs::path next = directory.path() / "lib" / "next";
  fs::create_directory(next);
  fs::rename(plugins, directory.path() / "lib" / "old");
  fs::rename(next, plugins);
  EXPECT_TRUE(told(watch));
  watch.drain();
  std::ofstream(plugins / "a.so") << "a";
  EXPECT_TRUE(told(watch));
  watch.drain();
  std::ofstream(directory.path() / "lib" / "old" / "b.so") << "b";
  EXPECT_TRUE(told_nothing(watch)) << "nobody's any more";
}

TEST_F(Watch, ALinkThatIsPutElsewhereIsFollowed) {
  const fs::path one = directory.path() / "v1";
  const fs::path two = directory.path() / "v2";
  fs::create_directory(one);
  fs::create_directory(two);
  const fs::path link = directory.path() / "current";
  fs::create_directory_symlink(one, link);
  DirectoryWatch watch({link});
  fs::create_directory_symlink(two, directory.path() / "next");
  fs::rename(directory.path() / "next", link);
  EXPECT_TRUE(told(watch));
  watch.drain();
  std::ofstream(two / "a.so") << "a";
  EXPECT_TRUE(told(watch));
}

TEST_F(Watch, ManyChangesAtOnceAreNotMissed) {
  fs::create_directories(plugins);
  DirectoryWatch watch({plugins});
  for (int i = 0; i < 20'000; ++i) {  // more than the kernel keeps
    const fs::path file = plugins / std::to_string(i % 7);
    std::ofstream(file) << i;
    fs::remove(file);
  }
  EXPECT_TRUE(told(watch));
  watch.drain();
  std::ofstream(plugins / "a.so") << "a";
  EXPECT_TRUE(told(watch));
}

}  // namespace
}  // namespace retire::worker
