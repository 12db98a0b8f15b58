#include "worker/service/offers.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "common/model/limits.hpp"
#include "worker/service/cidr.hpp"

namespace retire::worker {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
constexpr const char* kHost = RC_BINARY_DIR "/libexec/retire-cluster/retire-cluster-handler-host";

TEST(Rules, OffByDefaultNeedsAllow) {
  EXPECT_TRUE(is_offered({}, "echo", false));
  EXPECT_FALSE(is_offered({}, "command", true));
  EXPECT_TRUE(is_offered({{"command"}, {}, {}}, "command", true));
  EXPECT_TRUE(is_offered({{"command"}, {}, {}}, "echo", false));  // allowing one removes nothing
}

TEST(Rules, DenyWins) {
  EXPECT_FALSE(is_offered({{"command"}, {"command"}, {}}, "command", true));
  EXPECT_FALSE(is_offered({{}, {"echo"}, {"echo"}}, "echo", false));
}

TEST(Rules, OnlyIsExclusive) {
  EXPECT_FALSE(is_offered({{}, {}, {"echo"}}, "sleep", false));
  EXPECT_TRUE(is_offered({{}, {}, {"echo"}}, "echo", false));
  EXPECT_FALSE(is_offered({{}, {}, {"command"}}, "command", true));  // it still needs --allow
  EXPECT_TRUE(is_offered({{"command"}, {}, {"command"}}, "command", true));
}

// A directory that nobody else can write to, with copies of test plugins.
class OffersOf : public testing::Test {
 protected:
  OffersOf() {
    std::string name = testing::TempDir() + "offers-XXXXXX";
    directory = mkdtemp(name.data());
  }
  ~OffersOf() override { fs::remove_all(directory); }
  fs::path add(const std::string& plugin, const std::string& as) {
    const fs::path to = directory / as;
    fs::create_directories(to.parent_path());
    fs::copy_file(std::string(RC_TEST_PLUGINS "/") + plugin + ".so", to);
    fs::permissions(to, fs::perms::owner_all);
    return to;
  }
  Offers find(const OfferRules& rules = {}) {
    PluginCatalog catalog({{directory}, kHost, {}, sandbox::Seats::make({})});
    EXPECT_TRUE(catalog.open().ok());
    return find_offers(catalog, rules);
  }
  fs::path directory;
};

TEST_F(OffersOf, TypesByFile) {
  const fs::path odd = add("odd_results", "odd.so");
  const Offers offers = find();
  EXPECT_EQ(offers.plugins.size(), 4u);
  EXPECT_EQ(offers.plugins.at("garbage")->image.file(), odd.string());
  EXPECT_FALSE(offers.plugins.contains("cancels"));  // off by default
  EXPECT_TRUE(find({{"cancels"}, {}, {}}).plugins.contains("cancels"));
}

TEST_F(OffersOf, TheFirstFileOfATypeCounts) {
  const fs::path a = add("odd_results", "a.so");
  add("odd_results", "b.so");
  const Offers offers = find();
  EXPECT_EQ(offers.plugins.at("garbage")->image.file(), a.string());
  EXPECT_THAT(offers.refused, Contains(HasSubstr("garbage is not used")));
}

TEST_F(OffersOf, WhatIsNotToBeTrustedIsRefusedWithoutBeingLoaded) {
  const fs::path file = add("odd_results", "odd.so");
  chmod(file.c_str(), 0777);
  const Offers offers = find();
  EXPECT_TRUE(offers.plugins.empty());
  EXPECT_THAT(offers.refused, Contains(HasSubstr("writable")));
}

TEST_F(OffersOf, ABadPluginHarmsNoOther) {
  add("dies_at_load", "a.so");
  add("bad_create", "b.so");
  add("odd_results", "c.so");
  const Offers offers = find();
  EXPECT_TRUE(offers.plugins.contains("garbage"));
  EXPECT_TRUE(offers.plugins.contains("easy"));
  EXPECT_FALSE(offers.plugins.contains("picky"));
  EXPECT_THAT(offers.refused, Contains(HasSubstr("cannot live here")));
  EXPECT_THAT(offers.refused, Contains(HasSubstr("no moon tonight")));
}

TEST_F(OffersOf, RulesThatChangeNothingAreNoted) {
  add("odd_results", "odd.so");
  EXPECT_THAT(find({{"unheard_of"}, {}, {}}).notes, Contains(HasSubstr("--allow unheard_of")));
  EXPECT_THAT(find({{}, {}, {"cancels"}}).notes, Contains(HasSubstr("needs --allow cancels")));
}

TEST_F(OffersOf, ADirectoryThatIsMissingIsAnErrorUnlessItIsTheInstalledOne) {
  PluginCatalog given({{directory / "missing", directory}, kHost, {}, sandbox::Seats::make({})});
  const Status opened = given.open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::Configuration);
  EXPECT_THAT(opened.error().detail, HasSubstr("missing"));
  PluginCatalog installed({{directory, directory / "missing"}, kHost, {}, sandbox::Seats::make({})});
  EXPECT_TRUE(installed.open().ok());
  EXPECT_THAT(find_offers(installed, {}).notes, Contains(HasSubstr("no installed plugins")));
}

TEST_F(OffersOf, WhatStandsBehindAType) {
  add("odd_results", "a.so");
  const Offers before = find();
  const Offers after = find();  // read anew: other images
  EXPECT_THAT(replaced_types(before.plugins, after.plugins), Contains("garbage"));
  EXPECT_TRUE(replaced_types(before.plugins, before.plugins).empty());
  EXPECT_TRUE(replaced_types({}, after.plugins).empty());
  Capabilities plain;
  plain.device_id = "d";
  const Result<Capabilities> device = with_offers(plain, after);
  ASSERT_TRUE(device.ok()) << device.error().detail;
  EXPECT_THAT(device.value().handlers, Contains("garbage"));
}

// Main takes UTF-8 only, and would refuse the whole device.
TEST(Device, IsToldOfRefusalsAsUtf8WhateverAFileIsCalled) {
  Capabilities plain;
  plain.device_id = "d";
  Offers offers;
  offers.refused.emplace_back("/p/\xff.so: not a plugin");
  std::string cut_within = "x";
  while (cut_within.size() <= kErrorMessageBytesMax) cut_within += "\u00e4";
  offers.refused.push_back(cut_within);
  const Result<Capabilities> device = with_offers(plain, offers);
  ASSERT_TRUE(device.ok()) << device.error().detail;
  EXPECT_EQ(device.value().refused_plugins.at(0), "/p/?.so: not a plugin");
  EXPECT_EQ(device.value().refused_plugins.at(1), cut_within.substr(0, kErrorMessageBytesMax - 1));
}

TEST(Cidr, IsAnAddressOrANetwork) {
  for (const char* good : {"10.0.0.0/8", "127.0.0.1", "::1", "fd00::/8", "0.0.0.0/0", "1.2.3.4/32", "::/128"}) {
    EXPECT_TRUE(is_cidr(good)) << good;
  }
  for (const char* bad :
       {"", "10.0.0.0/33", "10.0.0/8", "localhost", "10.0.0.0/", "10.0.0.0/-1", "::/129", "1.2.3.4/8x"}) {
    EXPECT_FALSE(is_cidr(bad)) << bad;
  }
}

}  // namespace
}  // namespace retire::worker
