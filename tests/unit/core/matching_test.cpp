#include "broker/core/matching.hpp"

#include <gtest/gtest.h>

#include "broker/core/catalog.hpp"
#include "tests/unit/core/cluster.hpp"

namespace retire::core {
namespace {

Capabilities laptop() {
  Capabilities out = testing::Cluster::device_of("laptop", 2, {"echo", "render"});
  out.has_internet = true;
  out.tags = {"arm", "ssd"};
  out.isolation = Isolation::Basic;
  out.resources = effective_resources(out);
  return out;
}

struct Case {
  const char* requirement;
  void (*set)(Requirements&, bool met);
  const char* wanted;
  const char* has;
};

class Matching : public ::testing::TestWithParam<Case> {};

TEST_P(Matching, MetAndNotMet) {
  Requirements met;
  GetParam().set(met, true);
  ASSERT_TRUE(normalize(met).ok());
  EXPECT_TRUE(matches("echo", met, laptop()));
  EXPECT_TRUE(unmet_requirements("echo", met, laptop()).empty());

  Requirements unmet;
  GetParam().set(unmet, false);
  ASSERT_TRUE(normalize(unmet).ok());
  EXPECT_FALSE(matches("echo", unmet, laptop()));
  const std::vector<UnmetRequirement> why = unmet_requirements("echo", unmet, laptop());
  ASSERT_EQ(why.size(), 1u);
  EXPECT_EQ(why[0].requirement, GetParam().requirement);
  EXPECT_EQ(why[0].wanted, GetParam().wanted);
  EXPECT_EQ(why[0].has, GetParam().has);
}

INSTANTIATE_TEST_SUITE_P(
    Requirements, Matching,
    ::testing::Values(
        Case{"min_cpu_cores", [](Requirements& r, bool met) { r.min_cpu_cores = met ? 4 : 5; }, "5", "4"},
        Case{"min_memory_gb", [](Requirements& r, bool met) { r.min_memory_gb = met ? 8 : 8.5; }, "8.5", "8"},
        Case{"min_storage_gb", [](Requirements& r, bool met) { r.min_storage_gb = met ? 100 : 101; }, "101", "100"},
        Case{"gpu_required", [](Requirements& r, bool met) { r.gpu_required = !met; }, "true", "false"},
        Case{"required_platform", [](Requirements& r, bool met) { r.required_platform = met ? "Linux" : "Android"; },
             "\"android\"", "\"linux\""},
        Case{"required_role", [](Requirements& r, bool met) { r.required_role = met ? "worker" : "mobile"; },
             "\"mobile\"", "\"worker\""},
        Case{"required_tags",
             [](Requirements& r, bool met) {
               r.required_tags = met ? std::vector<std::string>{"ssd", "arm"} : std::vector<std::string>{"gpu", "arm"};
             },
             "[\"arm\",\"gpu\"]", "[\"arm\",\"ssd\"]"},
        Case{"min_isolation",
             [](Requirements& r, bool met) { r.min_isolation = met ? Isolation::Basic : Isolation::Strict; },
             "\"strict\"", "\"basic\""},
        Case{"resources.cpus",
             [](Requirements& r, bool met) {
               r.resources = {{"cpus", met ? 4 : 6}};
             },
             "6", "4"},
        Case{"resources.licence",
             [](Requirements& r, bool met) {
               r.resources = {{met ? "memory_gb" : "licence", 1}};
             },
             "1", "0"}),
    [](const auto& one) {
      std::string name = one.param.requirement;
      std::replace(name.begin(), name.end(), '.', '_');
      return name + std::to_string(one.index);
    });

TEST(Matching, InternetMetAndNotMet) {
  Requirements wants;
  wants.internet_required = true;
  EXPECT_TRUE(matches("echo", wants, laptop()));
  Capabilities offline = laptop();
  offline.has_internet = false;
  const std::vector<UnmetRequirement> why = unmet_requirements("echo", wants, offline);
  ASSERT_EQ(why.size(), 1u);
  EXPECT_EQ(why[0].requirement, "internet_required");
}

TEST(Matching, TheTypeMustBeOffered) {
  EXPECT_TRUE(matches("render", {}, laptop()));
  const std::vector<UnmetRequirement> why = unmet_requirements("fold", {}, laptop());
  ASSERT_EQ(why.size(), 1u);
  EXPECT_EQ(why[0].requirement, "task_type");
  EXPECT_EQ(why[0].has, "[\"echo\",\"render\"]");
}

TEST(Matching, TimeoutsAndRetriesAskNothingOfADevice) {
  Requirements a;
  Requirements b;
  b.timeout_seconds = 1;
  b.max_retries = 0;
  b.at_most_once = true;
  EXPECT_TRUE(same_demands(a, b));
  b.min_cpu_cores = 1;
  EXPECT_FALSE(same_demands(a, b));
}

TEST(Catalog, EqualThingsAreKeptOnceAndGoWithTheirLastUser) {
  Catalog catalog;
  const TaskSpec spec = testing::spec_of("echo");
  TaskSpec other_timeout = spec;
  other_timeout.requirements.timeout_seconds = 1;
  const SpecIndex a = catalog.intern(spec);
  EXPECT_EQ(catalog.intern(spec), a);
  const SpecIndex b = catalog.intern(other_timeout);
  EXPECT_NE(a, b);
  EXPECT_EQ(catalog.spec(a).task_class, catalog.spec(b).task_class) << "a class is about devices only";

  const ProfileIndex profile = catalog.intern_profile(testing::Cluster::device_of("one"));
  EXPECT_EQ(catalog.intern_profile(testing::Cluster::device_of("two", 8)), profile) << "name and slots do not matter";
  EXPECT_TRUE(catalog.class_of(a).profiles.test(profile.value));

  catalog.retain(a);
  catalog.retain(b);
  EXPECT_TRUE(catalog.release(a));
  catalog.drop(a);
  EXPECT_TRUE(catalog.profile(profile).classes.test(catalog.spec(b).task_class.value));
  const ClassIndex task_class = catalog.spec(b).task_class;
  EXPECT_TRUE(catalog.release(b));
  catalog.drop(b);
  EXPECT_FALSE(catalog.profile(profile).classes.test(task_class.value));
  EXPECT_TRUE(catalog.tasks_by_type().empty());
}

}  // namespace
}  // namespace retire::core
