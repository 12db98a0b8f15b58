// Real files, probed by real processes.
#include "worker/service/plugin_catalog.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "plugins/signature/signature.hpp"
#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire::worker {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
constexpr const char* kHost = RC_BINARY_DIR "/libexec/retire-cluster/retire-cluster-handler-host";

class Catalog : public testing::Test {
 protected:
  Catalog() : catalog({{directory.path()}, kHost, {}, sandbox::Seats::make({})}) {}

  // By rename, as a careful person does it.
  fs::path put(const std::string& plugin, const std::string& as, const std::string& more = "") {
    const fs::path made = directory.path() / ".made";
    fs::copy_file(std::string(RC_TEST_PLUGINS "/") + plugin + ".so", made);
    fs::permissions(made, fs::perms::owner_all);
    std::ofstream(made, std::ios::app) << more;  // which no loader minds: other bytes, the same code
    fs::rename(made, directory.path() / as);
    return directory.path() / as;
  }
  const PluginFile& only() {
    EXPECT_EQ(catalog.files().size(), 1u);
    return catalog.files().at(0);
  }

  test::TemporaryDirectory directory;
  PluginCatalog catalog;
};

TEST_F(Catalog, WhatHasNotChangedIsNotReadAgain) {
  put("odd_results", "a.so");
  ASSERT_TRUE(catalog.open().ok());
  const host::PluginPtr first = only().plugin;
  ASSERT_TRUE(first);
  EXPECT_EQ(first->manifest.name, "odd");
  EXPECT_FALSE(catalog.refresh());
  EXPECT_EQ(only().plugin, first);
}

TEST_F(Catalog, ANewFileIsTakenAndARemovedOneGoes) {
  ASSERT_TRUE(catalog.open().ok());
  EXPECT_TRUE(catalog.files().empty());
  const fs::path file = put("telling", "a.so");
  EXPECT_TRUE(catalog.refresh());
  EXPECT_EQ(only().path, file.string());
  EXPECT_TRUE(only().plugin);
  fs::remove(file);
  EXPECT_TRUE(catalog.refresh());
  EXPECT_TRUE(catalog.files().empty());
}

TEST_F(Catalog, OtherBytesAreAnotherPlugin) {
  put("telling", "a.so");
  ASSERT_TRUE(catalog.open().ok());
  const host::PluginPtr first = only().plugin;
  put("telling", "a.so", "2");
  EXPECT_TRUE(catalog.refresh());
  ASSERT_TRUE(only().plugin);
  EXPECT_NE(only().plugin, first);
  EXPECT_NE(only().plugin->image.hash(), first->image.hash());
}

TEST_F(Catalog, TheSameBytesAnewChangeNothing) {
  put("telling", "a.so");
  ASSERT_TRUE(catalog.open().ok());
  const host::PluginPtr first = only().plugin;
  put("telling", "a.so");
  EXPECT_FALSE(catalog.refresh());
  EXPECT_EQ(only().plugin, first);
}

TEST_F(Catalog, AReplacementThatIsRefusedLeavesTheOldOneInUse) {
  const fs::path file = put("telling", "a.so");
  ASSERT_TRUE(catalog.open().ok());
  const host::PluginPtr first = only().plugin;
  put("dies_at_load", "a.so");
  EXPECT_TRUE(catalog.refresh());
  EXPECT_EQ(only().plugin, first);
  EXPECT_THAT(only().refusal, HasSubstr(file.string()));
  EXPECT_THAT(only().refusal, HasSubstr("exit status 5"));
  EXPECT_THAT(only().refusal, HasSubstr("stays in use"));
  EXPECT_FALSE(catalog.refresh()) << "said once";
  put("telling", "a.so", "2");
  EXPECT_TRUE(catalog.refresh());
  EXPECT_NE(only().plugin, first);
  EXPECT_EQ(only().refusal, "");
}

TEST_F(Catalog, WhatOthersMayWriteToIsInUseNoLonger) {
  const fs::path file = put("telling", "a.so");
  ASSERT_TRUE(catalog.open().ok());
  ASSERT_EQ(chmod(file.c_str(), 0777), 0);
  EXPECT_TRUE(catalog.refresh());
  EXPECT_FALSE(only().plugin);
  EXPECT_THAT(only().refusal, HasSubstr("writable by everybody"));
  ASSERT_EQ(chmod(file.c_str(), 0755), 0);
  EXPECT_TRUE(catalog.refresh());
  EXPECT_TRUE(only().plugin);
  EXPECT_EQ(only().refusal, "");
}

TEST_F(Catalog, AFileThatIsBeingWrittenIsTakenWhenItIsComplete) {
  const fs::path whole = put("telling", ".whole");
  std::ifstream from(whole, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(from)), {});
  {
    std::ofstream writer(directory.path() / "a.so", std::ios::binary);
    writer.write(bytes.data(), static_cast<std::streamsize>(bytes.size() / 2)).flush();
    ASSERT_TRUE(catalog.open().ok());
    EXPECT_FALSE(only().plugin);
    EXPECT_THAT(only().refusal, HasSubstr("still being written"));
    EXPECT_TRUE(catalog.unsettled());
    writer.write(bytes.data() + bytes.size() / 2, static_cast<std::streamsize>(bytes.size() - bytes.size() / 2));
  }
  EXPECT_TRUE(catalog.refresh());
  EXPECT_FALSE(catalog.unsettled());
  EXPECT_TRUE(only().plugin);
}

TEST_F(Catalog, OneThatIsWrittenOverStaysWhatItWasMeanwhile) {
  const fs::path file = put("telling", "a.so");
  ASSERT_TRUE(catalog.open().ok());
  const host::PluginPtr first = only().plugin;
  {
    std::ofstream writer(file, std::ios::binary);
    writer << "half of";
    writer.flush();
    EXPECT_FALSE(catalog.refresh());
    EXPECT_TRUE(catalog.unsettled());
    EXPECT_EQ(only().plugin, first);
  }
}

TEST_F(Catalog, HalfAFileIsRefusedAndTheWholeOneTaken) {
  const fs::path whole = put("telling", ".whole");
  const fs::path file = directory.path() / "a.so";
  fs::copy_file(whole, file);
  fs::resize_file(file, fs::file_size(whole) / 2);
  ASSERT_TRUE(catalog.open().ok());
  EXPECT_FALSE(only().plugin);
  EXPECT_THAT(only().refusal, HasSubstr(file.string()));
  fs::copy_file(whole, file, fs::copy_options::overwrite_existing);
  EXPECT_TRUE(catalog.refresh());
  EXPECT_TRUE(only().plugin) << only().refusal;
}

TEST_F(Catalog, ALinkMayNotLeadOut) {
  const test::TemporaryDirectory elsewhere;
  const fs::path outside = elsewhere.path() / "x.so";
  fs::copy_file(RC_TEST_PLUGINS "/telling.so", outside);
  fs::create_symlink(outside, directory.path() / "a.so");
  ASSERT_TRUE(catalog.open().ok());
  EXPECT_FALSE(only().plugin);
  EXPECT_THAT(only().refusal, HasSubstr("leads out of its directory"));
  EXPECT_THAT(only().refusal, HasSubstr(outside.string()));
}

TEST_F(Catalog, ALinkWithinIsFollowed) {
  fs::create_directory(directory.path() / "v1");
  put("telling", "v1/telling.so.1");
  fs::create_symlink("v1/telling.so.1", directory.path() / "a.so");
  ASSERT_TRUE(catalog.open().ok());
  EXPECT_TRUE(only().plugin) << only().refusal;
  fs::remove(directory.path() / "a.so");
  fs::create_symlink("nowhere", directory.path() / "a.so");
  EXPECT_TRUE(catalog.refresh());
  EXPECT_FALSE(only().plugin);
  EXPECT_THAT(only().refusal, HasSubstr("nowhere"));
}

TEST_F(Catalog, ADirectoryThatGoesTakesItsPluginsAlong) {
  put("telling", "a.so");
  ASSERT_TRUE(catalog.open().ok());
  ASSERT_TRUE(only().plugin);
  fs::rename(directory.path(), directory.path().string() + "-away");
  EXPECT_TRUE(catalog.refresh());
  EXPECT_TRUE(catalog.files().empty());
  EXPECT_THAT(catalog.notes(), testing::ElementsAre(HasSubstr(directory.path().string())));
  fs::rename(directory.path().string() + "-away", directory.path());
  EXPECT_TRUE(catalog.refresh());
  EXPECT_TRUE(only().plugin);
}

TEST_F(Catalog, BeyondTheBoundOfADirectoryWhatIsInUseStaysAndTheRestIsRefused) {
  const fs::path used = put("telling", "z.so");
  ASSERT_TRUE(catalog.open().ok());
  const host::PluginPtr first = only().plugin;
  ASSERT_TRUE(first);
  for (int i = 0; i < 1025; ++i) {  // that anybody may write to, so that none of them has to be probed
    const fs::path other = directory.write("a" + std::to_string(1000 + i) + ".so", "");
    ASSERT_EQ(chmod(other.c_str(), 0666), 0);
  }
  EXPECT_TRUE(catalog.refresh());
  const auto entry = [&](const std::string& path) {
    const auto found = std::find_if(catalog.files().begin(), catalog.files().end(),
                                    [&](const PluginFile& file) { return file.path == path; });
    return found == catalog.files().end() ? PluginFile{} : *found;
  };
  EXPECT_EQ(entry(used).plugin, first);
  EXPECT_THAT(entry(directory.path() / "a2022.so").refusal, HasSubstr("writable by everybody"));
  EXPECT_THAT(entry(directory.path() / "a2023.so").refusal,
              HasSubstr("one of 2 too many: a plugin directory may hold 1024"));
  EXPECT_EQ(catalog.files().size(), 1025u);
  EXPECT_THAT(catalog.notes(), testing::IsEmpty());
  EXPECT_FALSE(catalog.refresh()) << "said once";
}

class SignedCatalog : public Catalog {
 protected:
  SignedCatalog() : keys{key.public_key()}, picky({{directory.path()}, kHost, {}, sandbox::Seats::make({}), keys}) {}
  const PluginFile& file() {
    EXPECT_EQ(picky.files().size(), 1u);
    return picky.files().at(0);
  }
  PrivateKey key = PrivateKey::generate();
  std::vector<PublicKey> keys;
  PluginCatalog picky;
};

TEST_F(SignedCatalog, OnlyWhatOneOfTheKeysSignedIsUsed) {
  const fs::path plugin = put("telling", "a.so");
  ASSERT_TRUE(picky.open().ok());
  EXPECT_FALSE(file().plugin);
  EXPECT_THAT(file().refusal, HasSubstr(plugin.string()));
  ASSERT_TRUE(sign_plugin(plugin, PrivateKey::generate()).ok());
  picky.refresh();
  EXPECT_FALSE(file().plugin) << "somebody else's";
  ASSERT_TRUE(sign_plugin(plugin, key).ok());
  EXPECT_TRUE(picky.refresh());
  EXPECT_TRUE(file().plugin) << file().refusal;
}

TEST_F(SignedCatalog, OtherBytesNeedAnotherSignature) {
  const fs::path plugin = put("telling", "a.so");
  ASSERT_TRUE(sign_plugin(plugin, key).ok());
  ASSERT_TRUE(picky.open().ok());
  const host::PluginPtr first = file().plugin;
  ASSERT_TRUE(first);
  put("telling", "a.so", "2");
  EXPECT_TRUE(picky.refresh());
  EXPECT_EQ(file().plugin, first) << "whose bytes were signed";
  EXPECT_THAT(file().refusal, HasSubstr("stays in use"));
  ASSERT_TRUE(sign_plugin(plugin, key).ok());
  EXPECT_TRUE(picky.refresh());
  EXPECT_NE(file().plugin, first);
  EXPECT_EQ(file().refusal, "");
}

TEST_F(SignedCatalog, ASignatureThatIsTakenAwayTakesThePluginAlong) {
  const fs::path plugin = put("telling", "a.so");
  ASSERT_TRUE(sign_plugin(plugin, key).ok());
  ASSERT_TRUE(picky.open().ok());
  ASSERT_TRUE(file().plugin);
  EXPECT_FALSE(picky.refresh());
  fs::remove(signature_file(plugin));
  EXPECT_TRUE(picky.refresh());
  EXPECT_FALSE(file().plugin);
}

}  // namespace
}  // namespace retire::worker
