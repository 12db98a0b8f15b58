// Probes on recorded files: each test lays out the part of a system that it is about.
#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/model/task.hpp"
#include "worker/probe/data_dir.hpp"
#include "worker/probe/device.hpp"
#include "worker/probe/gpu.hpp"
#include "worker/probe/hardware.hpp"
#include "worker/probe/network.hpp"
#include "worker/probe/platform.hpp"

namespace retire::probe {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

class Probe : public testing::Test {
 protected:
  Probe() {
    std::string name = testing::TempDir() + "probe-XXXXXX";
    root = mkdtemp(name.data());
  }
  ~Probe() override { fs::remove_all(root); }
  void write(const std::string& file, const std::string& text) {
    fs::create_directories((root / file).parent_path());
    std::ofstream(root / file) << text;
  }
  fs::path root;
};

TEST_F(Probe, LinuxUnlessThereAreSignsOfAndroid) {
  EXPECT_EQ(probe_platform(root, {}).name, "linux");
  EXPECT_FALSE(probe_platform(root, {}).arch.empty());
  EXPECT_EQ(probe_platform(root, {"/usr", ""}).name, "linux");
}

TEST_F(Probe, TermuxIsAndroid) {
  const Platform platform = probe_platform(root, {"/data/data/com.termux/files/usr", ""});
  EXPECT_EQ(platform.name, "android");
  EXPECT_TRUE(platform.termux);
}

TEST_F(Probe, AndroidByItsRootOrItsProperties) {
  EXPECT_EQ(probe_platform(root, {"", "/system"}).name, "android");
  write("system/build.prop", "ro.build.version.release=9\n");
  EXPECT_EQ(probe_platform(root, {}).name, "android");
}

TEST_F(Probe, ProcessorsByAffinity) {
  EXPECT_EQ(probe_cpu_count(root, 6), 6u);
  EXPECT_EQ(probe_cpu_count(root, 0), 1u);
}

TEST_F(Probe, ProcessorsByControlGroupTwo) {
  write("proc/self/cgroup", "0::/user.slice/box\n");
  write("sys/fs/cgroup/user.slice/box/cpu.max", "150000 100000\n");
  write("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
  EXPECT_EQ(probe_cpu_count(root, 8), 2u);
}

TEST_F(Probe, ProcessorsByAParentsLimit) {
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
  EXPECT_EQ(probe_cpu_count(root, 8), 3u);
}

TEST_F(Probe, ProcessorsByControlGroupOne) {
  write("proc/self/cgroup", "3:cpu,cpuacct:/docker/x\n2:memory:/docker/x\n");
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n");  // mounted as the container's own
  write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(probe_cpu_count(root, 8), 1u);
  write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(probe_cpu_count(root, 8), 8u);
}

TEST_F(Probe, NonsenseInFilesIsNoLimit) {
  write("proc/self/cgroup", "nonsense\n::::\n0::/../../etc\n");
  write("sys/fs/cgroup/cpu.max", "\xff\xff");
  EXPECT_EQ(probe_cpu_count(root, 4), 4u);
  write("proc/meminfo", "MemTotal: lots\n");
  EXPECT_EQ(probe_memory_gb(root), 0);
}

TEST_F(Probe, Memory) {
  EXPECT_EQ(probe_memory_gb(root), 0);
  write("proc/meminfo", "MemFree: 1 kB\nMemTotal:        2097152 kB\n");
  EXPECT_DOUBLE_EQ(probe_memory_gb(root), 2.0);
}

TEST_F(Probe, MemoryByControlGroup) {
  write("proc/meminfo", "MemTotal: 16777216 kB\n");
  write("proc/self/cgroup", "0::/box\n");
  write("sys/fs/cgroup/box/memory.max", "max\n");
  EXPECT_DOUBLE_EQ(probe_memory_gb(root), 16.0);
  write("sys/fs/cgroup/box/memory.max", "1073741824\n");
  EXPECT_DOUBLE_EQ(probe_memory_gb(root), 1.0);
}

TEST_F(Probe, MemoryLimitOfVersionOneThatIsNone) {
  write("proc/meminfo", "MemTotal: 4194304 kB\n");
  write("proc/self/cgroup", "4:memory:/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_DOUBLE_EQ(probe_memory_gb(root), 4.0);
}

TEST_F(Probe, StorageOfADirectoryThatIsNotThereYet) { EXPECT_GT(probe_storage_gb(root / "not" / "yet"), 0); }

TEST_F(Probe, NoGpu) { EXPECT_FALSE(probe_gpu(root)); }

TEST_F(Probe, GpuByItsDeviceFile) {
  write("dev/nvidiactl", "");
  EXPECT_FALSE(probe_gpu(root));
  write("dev/nvidia0", "");
  EXPECT_TRUE(probe_gpu(root));
}

TEST_F(Probe, GpuByARenderNodeWithARealDriver) {
  write("dev/dri/card0", "");
  write("dev/dri/renderD128", "");
  EXPECT_FALSE(probe_gpu(root));  // no driver
  fs::create_directories(root / "sys/class/drm/renderD128/device");
  fs::create_symlink("../../../../bus/virtio/drivers/virtio_gpu", root / "sys/class/drm/renderD128/device/driver");
  EXPECT_FALSE(probe_gpu(root));  // shows pictures only
  fs::remove(root / "sys/class/drm/renderD128/device/driver");
  fs::create_symlink("../../../../bus/pci/drivers/amdgpu", root / "sys/class/drm/renderD128/device/driver");
  EXPECT_TRUE(probe_gpu(root));
}

constexpr const char* kRouteHeader =
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

TEST_F(Probe, InternetByADefaultRoute) {
  EXPECT_FALSE(probe_internet(root));
  write("proc/net/route", std::string(kRouteHeader) + "eth0\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n");
  EXPECT_FALSE(probe_internet(root));
  write("proc/net/route", std::string(kRouteHeader) + "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
  EXPECT_TRUE(probe_internet(root));
  write("proc/net/route", std::string(kRouteHeader) + "eth0\t00000000\t0101A8C0\t0002\t0\t0\t0\t00000000\t0\t0\t0\n");
  EXPECT_FALSE(probe_internet(root));  // not up
}

TEST_F(Probe, InternetByADefaultRouteOfVersionSix) {
  const std::string any(32, '0');
  const auto route = [&](const std::string& flags, const std::string& interface) {
    return any + " 00 " + any + " 00 " + any + " ffffffff 00000001 00000000 " + flags + "       " + interface + "\n";
  };
  write("proc/net/ipv6_route", route("00200200", "lo"));
  EXPECT_FALSE(probe_internet(root));
  write("proc/net/ipv6_route", route("00000200", "eth0"));
  EXPECT_FALSE(probe_internet(root));
  write("proc/net/ipv6_route", route("00450003", "wlan0"));
  EXPECT_TRUE(probe_internet(root));
}

TEST_F(Probe, ADeviceWithGuessedRoleAndTags) {
  write("proc/meminfo", "MemTotal: 1048576 kB\n");
  Surroundings where{root, {"/data/data/com.termux/files/usr", ""}, 4, root};
  const Capabilities phone = probe_device(where, {});
  EXPECT_EQ(phone.role, "mobile");
  EXPECT_EQ(phone.platform, "android");
  EXPECT_EQ(phone.slots, 4u);
  EXPECT_THAT(phone.tags, Contains("low_memory"));
  EXPECT_THAT(phone.tags, Contains("termux"));
  EXPECT_THAT(phone.tags, Contains("android"));
  where.signs = {};
  where.allowed_cpus = 16;
  EXPECT_EQ(probe_device(where, {}).role, "compute");
  where.allowed_cpus = 2;
  EXPECT_EQ(probe_device(where, {}).role, "worker");
}

TEST_F(Probe, WhatTheUserSaysBeatsWhatIsMeasured) {
  Overrides said;
  said.role = "storage";
  said.platform = "Windows";
  said.cpu_count = 64;
  said.memory_gb = 128;
  said.storage_gb = 2;
  said.gpu = true;
  said.internet = true;
  said.tags = {"rack7", "rack7"};
  const Capabilities device = probe_device({root, {}, 2, root}, said);
  EXPECT_EQ(device.role, "storage");
  EXPECT_EQ(device.platform, "windows");
  EXPECT_EQ(device.cpu_count, 64u);
  EXPECT_EQ(device.slots, 64u);
  EXPECT_DOUBLE_EQ(device.memory_total_gb, 128);
  EXPECT_DOUBLE_EQ(device.storage_total_gb, 2);
  EXPECT_TRUE(device.has_gpu);
  EXPECT_TRUE(device.has_internet);
  EXPECT_EQ(std::count(device.tags.begin(), device.tags.end(), "rack7"), 1);
  EXPECT_THAT(device.tags, Contains("high_memory"));
  said.slots = 3;
  said.gpu = false;
  EXPECT_EQ(probe_device({root, {}, 2, root}, said).slots, 3u);
  EXPECT_THAT(probe_device({root, {}, 2, root}, said).tags, Not(Contains("gpu")));
}

TEST_F(Probe, ADeviceIdIsMadeOfWhatIsAllowed) {
  EXPECT_EQ(make_device_id("linux", "old-laptop", 0xabcdef), "linux-old-laptop-00abcdef");
  for (const std::string& name : {std::string("Anna's Mäc Book"), std::string(500, 'x'), std::string()}) {
    EXPECT_TRUE(is_device_id(make_device_id("linux", name, 1))) << make_device_id("linux", name, 1);
  }
  EXPECT_NE(make_device_id("linux", "a", 1), make_device_id("linux", "a", 2));
}

TEST_F(Probe, TheDeviceIdIsKept) {
  EXPECT_EQ(kept_device_id(root), "");
  EXPECT_EQ(keep_device_id(root, "one").value(), "one");
  EXPECT_EQ(keep_device_id(root, "two").value(), "one");
  EXPECT_EQ(kept_device_id(root), "one");
}

TEST_F(Probe, ASpoiltDeviceIdIsAnErrorNamingTheFile) {
  write("device_id", "not an id!\n");
  const Result<std::string> kept = keep_device_id(root, "two");
  ASSERT_FALSE(kept.ok());
  EXPECT_EQ(kept.error().code, ErrorCode::Configuration);
  EXPECT_THAT(kept.error().detail, HasSubstr((root / "device_id").string()));
}

TEST_F(Probe, ASecondWorkerIsRefusedAndToldWhatToDo) {
  {
    const auto first = DataDirLock::take(root / "data");
    ASSERT_TRUE(first.ok());
    const auto second = DataDirLock::take(root / "data");
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, ErrorCode::Configuration);
    EXPECT_THAT(second.error().detail, HasSubstr("--data-dir"));
  }
  EXPECT_TRUE(DataDirLock::take(root / "data").ok());
  EXPECT_EQ(fs::status(root / "data").permissions(), fs::perms::owner_all);
}

TEST_F(Probe, ADirectoryThatCannotBeMadeIsAnError) {
  write("file", "");
  const auto lock = DataDirLock::take(root / "file" / "data");
  ASSERT_FALSE(lock.ok());
  EXPECT_EQ(lock.error().code, ErrorCode::Configuration);
}

}  // namespace
}  // namespace retire::probe
