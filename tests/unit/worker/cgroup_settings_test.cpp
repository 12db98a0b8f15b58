// What is written to control groups, and what is read from them.
#include <gmock/gmock.h>

#include "worker/cgroup/settings.hpp"

namespace retire::cgroup {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> written(const Limits& limits, const Controllers& controllers) {
  std::vector<std::string> out;
  for (const Setting& setting : settings_for(limits, controllers)) {
    out.push_back(setting.file + (setting.required ? "=" : "?=") + setting.value);
  }
  return out;
}

TEST(Controllers, AreThoseThatBindMemoryAndProcesses) {
  EXPECT_THAT(names(parse_controllers("cpuset cpu io memory hugetlb pids rdma misc\n")), ElementsAre("memory", "pids"));
  EXPECT_THAT(names(parse_controllers("cpu memory_like\n")), IsEmpty());
  EXPECT_FALSE(parse_controllers("").any());
}

TEST(Settings, LimitAllProcessesTogether) {
  EXPECT_THAT(written({300u << 20, 64}, {true, true}),
              ElementsAre("memory.max=314572800", "memory.swap.max?=0", "memory.oom.group?=1", "pids.max=64"));
}

TEST(Settings, OnlyOfControllersThatAreThere) {
  EXPECT_THAT(written({300u << 20, 64}, {false, true}), ElementsAre("pids.max=64"));
  EXPECT_THAT(written({300u << 20, 64}, {true, false}),
              ElementsAre("memory.max=314572800", "memory.swap.max?=0", "memory.oom.group?=1"));
}

TEST(Settings, NoLimitIsNone) { EXPECT_THAT(written({}, {true, true}), IsEmpty()); }

TEST(Counts, AreReadByTheirNames) {
  const char* events = "low 0\nhigh 0\nmax 25\noom 2\noom_kill 7\noom_group_kill 1\n";
  EXPECT_EQ(count_of(events, "oom_kill"), 7u);
  EXPECT_EQ(count_of(events, "oom"), 2u);
  EXPECT_EQ(count_of(events, "swap"), 0u);
  EXPECT_EQ(count_of("oom garbage\noom\n", "oom"), 0u);
  EXPECT_EQ(count_of("", "oom"), 0u);
}

}  // namespace
}  // namespace retire::cgroup
