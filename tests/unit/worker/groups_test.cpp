// Real control groups, where this process is given some: skipped, with the reason, where it is not.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "worker/cgroup/files.hpp"
#include "worker/cgroup/groups.hpp"
#include "worker/cgroup/member.hpp"

namespace retire::cgroup {
namespace {

namespace fs = std::filesystem;

class RealGroups : public testing::Test {
 protected:
  void SetUp() override {
    const Result<Place> found = find_place(surroundings());
    if (!found.ok()) GTEST_SKIP() << "skipped: no control groups here: " << found.error().detail;
    place = found.value();
    open();
  }
  void open() {
    Result<std::shared_ptr<Groups>> opened = Groups::open(place);
    ASSERT_TRUE(opened.ok()) << opened.error().detail;
    groups = std::move(opened).value();
  }
  Group make(const Limits& limits) {
    Result<Group> made = groups->make(limits);
    RC_ASSERT(made.ok());
    return std::move(made).value();
  }
  // A child in the group; its exit status is what `body` returns.
  static pid_t start_in(const Group& group, const std::function<int()>& body) {
    const pid_t child = fork();
    if (child == 0) _exit(join(group.descriptor()).ok() ? body() : 99);
    return child;
  }
  static int end_of(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }
  fs::path own() const { return place.directory / ("retire-cluster-" + std::to_string(getpid())); }

  Place place;
  std::shared_ptr<Groups> groups;
};

int touch_shared(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 98;
  std::memset(memory, 1, bytes);
  return 0;
}

TEST_F(RealGroups, AHostIsInItsOwnAndLeavesNothing) {
  {
    Group group = make({});
    const pid_t child = start_in(group, [] { return pause(); });
    while (read_from(group.descriptor(), "cgroup.procs") != std::to_string(child) + "\n") usleep(1000);
    group.end();
    EXPECT_FALSE(is_populated(group.descriptor()));
    EXPECT_EQ(end_of(child), SIGKILL);
    EXPECT_EQ(group.use().oom_kills, 0u);
    EXPECT_TRUE(fs::exists(own() / "1"));
  }
  EXPECT_FALSE(fs::exists(own() / "1"));
  groups.reset();
  EXPECT_FALSE(fs::exists(own()));
}

TEST_F(RealGroups, MemoryIsLimitedTogether) {
  if (!groups->controllers().memory) GTEST_SKIP() << "skipped: no controller of memory here";
  Group group = make({std::uint64_t{64} << 20, 0});
  // Each alone is within the limit.
  const int status = end_of(start_in(group, [] {
    for (int i = 0; i < 4; ++i) {
      if (fork() == 0) {
        if (touch_shared(std::size_t{40} << 20) == 0) pause();
        _exit(1);
      }
    }
    return pause();
  }));
  EXPECT_EQ(status, SIGKILL) << "all of the group dies";
  const Use use = group.use();
  EXPECT_GT(use.oom_kills, 0u);
  EXPECT_GT(use.limit_kills, 0u);
  EXPECT_EQ(use.limits.memory_bytes, std::uint64_t{64} << 20);
  group.end();
}

TEST_F(RealGroups, ProcessesAreLimitedTogether) {
  if (!groups->controllers().pids) GTEST_SKIP() << "skipped: no controller of processes here";
  Group group = make({0, 10});
  const int status = end_of(start_in(group, [] {
    int made = 0;
    for (pid_t child = 1; made < 50 && child > 0; ++made) {
      child = fork();
      if (child == 0) _exit(pause());
      if (child < 0) return made;
    }
    return made;
  }));
  EXPECT_EQ(WEXITSTATUS(status), 9) << "nine beside the first";
  EXPECT_GT(group.use().processes_refused, 0u);
  group.end();
}

TEST_F(RealGroups, WhatAKilledWorkerLeftIsEndedAndRemoved) {
  groups.reset();
  const fs::path left = place.directory / "retire-cluster-999999";
  fs::create_directories(left / "7");
  const pid_t child = fork();
  if (child == 0) {
    const int group = open_group((left / "7").string());
    _exit(join(group).ok() ? pause() : 99);
  }
  const int group = open_group((left / "7").string());
  while (!is_populated(group)) usleep(1000);
  close(group);
  open();
  EXPECT_FALSE(fs::exists(left));
  EXPECT_EQ(end_of(child), SIGKILL);
}

TEST_F(RealGroups, AnotherWorkersAreLeftAlone) {
  Group group = make({});
  Result<std::shared_ptr<Groups>> other = Groups::open(place);
  ASSERT_TRUE(other.ok());
  EXPECT_TRUE(fs::exists(own() / "1"));
  Result<Group> made = other.value()->make({});
  ASSERT_TRUE(made.ok());
}

}  // namespace
}  // namespace retire::cgroup
