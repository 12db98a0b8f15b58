#include "worker/host/plugin_prober.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>

#include "tests/unit/worker/plugin_of.hpp"

namespace retire::host {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;
constexpr const char* kHost = RC_BINARY_DIR "/libexec/retire-cluster/retire-cluster-handler-host";

Result<Manifest> probe(const std::string& name, Duration timeout = 20s) {
  return probe_plugin(kHost, plugin_of(RC_TEST_PLUGINS "/" + name + ".so")->image, {}, timeout,
                      *sandbox::Seats::make({}));
}

TEST(Prober, SaysWhatAPluginOffers) {
  const Result<Manifest> odd = probe("odd_results");
  ASSERT_TRUE(odd.ok()) << odd.error().detail;
  EXPECT_EQ(odd.value().name, "odd");
  EXPECT_EQ(odd.value().version, "0.1");
  ASSERT_EQ(odd.value().handlers.size(), 5u);
  EXPECT_FALSE(odd.value().handlers[0].info.off_by_default);
  EXPECT_TRUE(odd.value().handlers[4].info.off_by_default);
}

TEST(Prober, AHandlerThatCannotBeMadeIsNamed) {
  const Result<Manifest> manifest = probe("bad_create");
  ASSERT_TRUE(manifest.ok());
  ASSERT_EQ(manifest.value().handlers.size(), 2u);
  EXPECT_EQ(manifest.value().handlers[0].refusal, "no moon tonight");
  EXPECT_EQ(manifest.value().handlers[1].refusal, "");
}

TEST(Prober, APluginThatDiesIsRefusedWithItsLastWords) {
  const Result<Manifest> manifest = probe("dies_at_load");
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.error().code, ErrorCode::PluginRefused);
  EXPECT_THAT(manifest.error().detail, HasSubstr("exit status 5"));
  EXPECT_THAT(manifest.error().detail, HasSubstr("cannot live here"));
}

TEST(Prober, WhatIsNoPluginIsRefusedNamingTheFile) {
  const std::string file = testing::TempDir() + "not_a_plugin.so";
  std::ofstream(file) << "hello";
  const Result<Manifest> manifest = probe_plugin(kHost, plugin_of(file)->image, {}, 20s, *sandbox::Seats::make({}));
  ASSERT_FALSE(manifest.ok());
  EXPECT_THAT(manifest.error().detail, HasSubstr(file));
}

TEST(Prober, HasATimeLimit) {
  const Result<Manifest> manifest = probe("odd_results", Duration::zero());
  ASSERT_FALSE(manifest.ok());
  EXPECT_THAT(manifest.error().detail, HasSubstr("within the time allowed"));
}

TEST(Prober, IsStoppedByADescriptor) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  const Result<Manifest> manifest =
      probe_plugin(kHost, plugin_of(RC_TEST_PLUGINS "/telling.so")->image, {}, 60s, *sandbox::Seats::make({}), ends[0]);
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.error().code, ErrorCode::Busy);
  for (const int end : ends) close(end);
}

TEST(Prober, AMissingHostProgramIsSaid) {
  const Result<Manifest> manifest = probe_plugin("/nonexistent/host", plugin_of(RC_TEST_PLUGINS "/telling.so")->image,
                                                 {}, 5s, *sandbox::Seats::make({}));
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.error().code, ErrorCode::Io);
}

}  // namespace
}  // namespace retire::host
