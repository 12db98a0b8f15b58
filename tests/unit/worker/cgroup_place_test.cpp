// Which control group counts as given to the worker, on recorded files.
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "worker/cgroup/place.hpp"

namespace retire::cgroup {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr const char* kUnified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n";

class PlaceOf : public testing::Test {
 protected:
  PlaceOf() {
    std::string name = testing::TempDir() + "cgroup-XXXXXX";
    around.root = mkdtemp(name.data());
    around.user = geteuid();  // so the recorded files are the worker's own
    around.self = 4711;
    around.attribute = [this](const fs::path& directory, const std::string& name_of) {
      const auto found = marks.find("/" + directory.lexically_relative(around.root / "sys/fs/cgroup").string());
      return found != marks.end() && found->second == name_of ? std::string("1") : std::string();
    };
  }
  ~PlaceOf() override { fs::remove_all(around.root); }

  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((around.root / file).parent_path());
    std::ofstream(around.root / file) << text;
  }
  void in(const std::string& group, const std::string& mounts = kUnified) const {
    write("proc/self/cgroup", "0::" + group + "\n");
    write("proc/self/mountinfo", "23 1 8:1 / / rw - ext4 /dev/root rw\n" + mounts);
  }
  // A group below the mount; without `events` it is the top of the machine's hierarchy.
  void group(const std::string& path, const std::string& processes = "", bool top = false) const {
    const std::string at = "sys/fs/cgroup/" + path + "/";
    write(at + "cgroup.controllers", "cpuset cpu io memory pids\n");
    write(at + "cgroup.subtree_control", "");
    write(at + "cgroup.procs", processes);
    if (top) return;
    write(at + "cgroup.events", "populated 1\nfrozen 0\n");
    write(at + "cgroup.type", "domain\n");
  }
  std::string found() const {
    const Result<Place> place = find_place(around);
    if (!place.ok()) return "none: " + place.error().detail;
    return "/" + place.value().directory.lexically_relative(around.root).string() +
           (place.value().is_top ? " top" : "") + (place.value().inside ? " inside" : "");
  }
  // Root and others are told apart by who owns the files, and nothing here can be another's: so the worker is.
  void be_somebody_else() { around.user = geteuid() + 1; }

  Surroundings around;
  std::map<std::string, std::string> marks;  // of groups
};

TEST_F(PlaceOf, NoVersion2) {
  write("proc/self/cgroup", "2:memory:/a\n1:name=systemd:/a\n");
  EXPECT_EQ(found(), "none: the kernel has none of version 2");
}

TEST_F(PlaceOf, NotMounted) {
  in("/a", "31 23 0:33 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  EXPECT_EQ(found(), "none: no cgroup2 with the worker's group is mounted");
}

TEST_F(PlaceOf, MountedReadOnlyInAContainer) {
  in("/", "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
  group("");
  EXPECT_EQ(found(), "none: cgroup2 is mounted read-only here");
}

TEST_F(PlaceOf, OutsideOfTheNamespace) {
  in("/../other");
  EXPECT_EQ(found(), "none: the worker's lies outside of what it can see");
}

TEST_F(PlaceOf, AServiceThatSystemdDelegates) {
  in("/system.slice/rc.service");
  group("system.slice/rc.service", "4711\n");
  marks["/system.slice/rc.service"] = "trusted.delegate";
  EXPECT_EQ(found(), "/sys/fs/cgroup/system.slice/rc.service inside");
}

TEST_F(PlaceOf, AServiceThatDelegatesWithASubgroup) {
  in("/system.slice/rc.service/worker");
  group("system.slice/rc.service");
  group("system.slice/rc.service/worker", "4711\n");
  marks["/system.slice/rc.service"] = "trusted.delegate";
  EXPECT_EQ(found(), "/sys/fs/cgroup/system.slice/rc.service");
}

TEST_F(PlaceOf, NotWhatSystemdHasDelegatedToAnother) {
  in("/user.slice/user-1000.slice/user@1000.service/app.slice/shell.scope");
  group("user.slice/user-1000.slice/user@1000.service/app.slice/shell.scope", "4711\n");
  marks["/user.slice/user-1000.slice/user@1000.service"] = "trusted.delegate";
  EXPECT_THAT(found(), HasSubstr("shell.scope is a unit of systemd, which has not delegated it"));
}

TEST_F(PlaceOf, AServiceOfTheUsersOwnSystemd) {
  around.user = 1000;
  const std::string unit = "user.slice/user-1000.slice/user@1000.service/app.slice/run-u1.service";
  in("/" + unit);
  group(unit, "4711\n");
  marks["/" + unit] = "user.delegate";
  EXPECT_EQ(found(), "/sys/fs/cgroup/" + unit + " inside");
}

TEST_F(PlaceOf, RootInASessionIsGivenNothing) {
  in("/user.slice/user-0.slice/session-2.scope");
  group("user.slice/user-0.slice/session-2.scope", "4711\n");
  EXPECT_THAT(found(), HasSubstr("session-2.scope is a unit of systemd"));
}

TEST_F(PlaceOf, AContainersTop) {
  in("/");
  group("", "4711\n");
  if (around.user != 0) GTEST_SKIP() << "skipped: the recorded files are not root's";
  EXPECT_EQ(found(), "/sys/fs/cgroup inside");
}

TEST_F(PlaceOf, TheMachinesTopWithoutSystemd) {
  in("/");
  group("", "1\n2\n4711\n", true);
  if (around.user != 0) GTEST_SKIP() << "skipped: the recorded files are not root's";
  EXPECT_EQ(found(), "/sys/fs/cgroup top");
  fs::create_directories(around.root / "run/systemd/system");
  EXPECT_EQ(found(), "none: the top of them belongs to systemd");
}

TEST_F(PlaceOf, SomebodyElsesTop) {
  be_somebody_else();
  in("/");
  group("", "4711\n");
  EXPECT_THAT(found(), HasSubstr("does not belong to the worker's user"));
}

TEST_F(PlaceOf, RootInAGroupThatIsMarkedByHand) {
  in("/batch/rc/inner");
  group("batch/rc");
  group("batch/rc/inner", "4711\n");
  around.user = 0;
  EXPECT_THAT(found(), HasSubstr("/batch/rc/inner is not marked as given to the worker"));
  marks["/batch/rc"] = "user.delegate";
  EXPECT_EQ(found(), "/sys/fs/cgroup/batch/rc");
}

TEST_F(PlaceOf, ASharedGroupIsOfNoUse) {
  in("/rc.service");
  group("rc.service", "4000\n4711\n");
  marks["/rc.service"] = "trusted.delegate";
  EXPECT_THAT(found(), HasSubstr("other processes than the worker are in /rc.service (1, the first is 4000)"));
}

TEST_F(PlaceOf, AThreadedGroup) {
  in("/rc.service");
  group("rc.service", "4711\n");
  write("sys/fs/cgroup/rc.service/cgroup.type", "threaded\n");
  marks["/rc.service"] = "trusted.delegate";
  EXPECT_THAT(found(), HasSubstr("/rc.service is of type threaded"));
}

TEST_F(PlaceOf, WithoutControllers) {
  in("/rc.service");
  group("rc.service", "4711\n");
  write("sys/fs/cgroup/rc.service/cgroup.controllers", "hugetlb\n");
  marks["/rc.service"] = "trusted.delegate";
  EXPECT_EQ(found(), "none: /rc.service has neither the controller memory nor pids");
}

TEST_F(PlaceOf, SomeControllers) {
  in("/rc.service");
  group("rc.service", "4711\n");
  write("sys/fs/cgroup/rc.service/cgroup.controllers", "cpu pids\n");
  marks["/rc.service"] = "trusted.delegate";
  const Result<Place> place = find_place(around);
  ASSERT_TRUE(place.ok());
  EXPECT_TRUE(place.value().controllers.pids);
  EXPECT_FALSE(place.value().controllers.memory);
}

// Docker without a namespace of control groups: the mount shows the container's group, the name is the whole one.
TEST_F(PlaceOf, OnlyTheOwnGroupIsMounted) {
  in("/system.slice/docker-1f.scope",
     "30 23 0:26 /system.slice/docker-1f.scope /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
  group("", "4711\n");
  marks["/."] = "trusted.delegate";
  EXPECT_EQ(found(), "/sys/fs/cgroup inside");
}

TEST_F(PlaceOf, AHybridHierarchyAndANameWithABlank) {
  in("/my group.service", "41 31 0:38 / /sys/fs/cgroup/uni\\040fied rw,relatime - cgroup2 cgroup2 rw\n");
  around.attribute = [](const fs::path& directory, const std::string&) {
    return directory.filename() == "my group.service" ? "1" : "";
  };
  for (const char* name : {"cgroup.controllers", "cgroup.procs", "cgroup.subtree_control", "cgroup.events"}) {
    write("sys/fs/cgroup/uni fied/my group.service/" + std::string(name),
          std::string(name) == "cgroup.controllers" ? "memory" : "");
  }
  EXPECT_EQ(found(), "/sys/fs/cgroup/uni fied/my group.service inside");
}

TEST_F(PlaceOf, AUsersOwnGroup) {
  in("/batch/mine");
  group("batch/mine", "4711\n");
  if (around.user == 0) {
    // As root the same files are somebody else's if the worker is not root.
    around.user = 1000;
    EXPECT_EQ(found(), "none: /batch/mine does not belong to the worker's user");
    for (const auto& entry : fs::recursive_directory_iterator(around.root / "sys/fs/cgroup/batch")) {
      ASSERT_EQ(chown(entry.path().c_str(), 1000, 1000), 0);
    }
    ASSERT_EQ(chmod((around.root / "sys/fs/cgroup/batch/mine").c_str(), 0755), 0);
  }
  EXPECT_EQ(found(), "/sys/fs/cgroup/batch/mine inside");
}

// The system's systemd hands the group of a service with User= over only if it delegates it; a user's own systemd owns
// all of its units' groups, delegated or not.
TEST_F(PlaceOf, AUsersGroupOfAUnit) {
  const std::string given = "system.slice/rc.service";
  const std::string own = "user.slice/user-1000.slice/user@1000.service/app.slice/editor.scope";
  group(given, "4711\n");
  group(own, "4711\n");
  if (around.user == 0) {
    around.user = 1000;
    for (const auto& entry : fs::recursive_directory_iterator(around.root / "sys")) {
      ASSERT_EQ(chown(entry.path().c_str(), 1000, 1000), 0);
    }
  }
  in("/" + given);
  EXPECT_EQ(found(), "/sys/fs/cgroup/" + given + " inside");
  in("/" + own);
  EXPECT_THAT(found(), HasSubstr("editor.scope is a unit of systemd, which has not delegated it"));
}

}  // namespace
}  // namespace retire::cgroup
