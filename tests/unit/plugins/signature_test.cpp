// Keys, digests and signatures, and each way in which one is not what it should be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "plugins/signature/signature.hpp"
#include "tests/unit/plugins/temporary_directory.hpp"

namespace retire {
namespace {

using testing::HasSubstr;

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class Signature : public testing::Test {
 protected:
  Result<PublicKey> verify(std::vector<PublicKey> keys) const {
    const Result<Digest> digest = sha256_of(plugin_);
    if (!digest.ok()) return digest.error();
    return verify_plugin(plugin_, digest.value(), keys);
  }
  std::string why_not(std::vector<PublicKey> keys) const {
    const Result<PublicKey> verified = verify(std::move(keys));
    if (verified.ok()) return "";
    EXPECT_EQ(verified.error().code, ErrorCode::PluginRefused);
    EXPECT_THAT(verified.error().detail, testing::StartsWith(plugin_.string()));
    return verified.error().detail;
  }

  test::TemporaryDirectory directory_;
  const std::filesystem::path plugin_ = directory_.write("p.so", "the plugin's bytes");
  const std::filesystem::path beside_ = signature_file(plugin_);
  const PrivateKey key_ = PrivateKey::generate();
  const PrivateKey other_ = PrivateKey::generate();
};

TEST_F(Signature, OfOneOfTheTrustedKeysHolds) {
  ASSERT_TRUE(sign_plugin(plugin_, key_).ok());
  EXPECT_EQ(beside_.filename(), "p.so.sig");
  const Result<PublicKey> by = verify({other_.public_key(), key_.public_key()});
  ASSERT_TRUE(by.ok()) << by.error().detail;
  EXPECT_EQ(by.value().id(), key_.public_key().id());
}

TEST_F(Signature, WhatIsWrongIsSaid) {
  EXPECT_THAT(why_not({key_.public_key()}), HasSubstr("not signed: there is no p.so.sig"));
  ASSERT_TRUE(sign_plugin(plugin_, key_).ok());
  EXPECT_THAT(why_not({other_.public_key()}),
              HasSubstr("signed with key " + key_.public_key().id() + ", which is not among those that are trusted"));
  EXPECT_THAT(why_not({}), HasSubstr("not among those that are trusted"));
  directory_.write("p.so", "the plugin's byteS");
  EXPECT_THAT(why_not({key_.public_key()}), HasSubstr("its signature is for other bytes"));
  ASSERT_TRUE(sign_plugin(plugin_, key_).ok());  // over the old one
  EXPECT_EQ(why_not({key_.public_key()}), "");
}

TEST_F(Signature, EveryCutOfItIsRefused) {
  ASSERT_TRUE(sign_plugin(plugin_, key_).ok());
  const std::string whole = content(beside_);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    directory_.write("p.so.sig", whole.substr(0, size));
    EXPECT_NE(why_not({key_.public_key()}), "") << size;
  }
  directory_.write("p.so.sig", whole + "x");
  EXPECT_THAT(why_not({key_.public_key()}), HasSubstr("there is more after"));
  directory_.write("p.so.sig", whole + std::string(10'000, '\n'));
  EXPECT_THAT(why_not({key_.public_key()}), HasSubstr("more than 4096 bytes"));
}

TEST_F(Signature, EveryFlippedBitOfItIsRefused) {
  ASSERT_TRUE(sign_plugin(plugin_, key_).ok());
  const std::string whole = content(beside_);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string broken = whole;
      broken[i] = static_cast<char>(broken[i] ^ (1 << bit));
      const Result<PluginSignature> read = parse_signature(broken);
      if (!read.ok()) continue;
      const std::vector<PublicKey> keys{key_.public_key(), other_.public_key()};
      EXPECT_FALSE(verify_signature(read.value(), sha256("the plugin's bytes"), keys).ok()) << i << ' ' << bit;
    }
  }
}

TEST_F(Signature, AForgedHeadOfItIsRefused) {  // the digest of other bytes under an old signature
  ASSERT_TRUE(sign_plugin(plugin_, key_).ok());
  PluginSignature forged = read_signature(beside_).value();
  forged.file = sha256("evil");
  directory_.write("p.so", "evil");
  directory_.write("p.so.sig", to_text(forged));
  EXPECT_THAT(why_not({key_.public_key()}), HasSubstr("its signature is not one of key " + key_.public_key().id()));
  forged.key = other_.public_key().hash();  // or another key's name on it
  directory_.write("p.so.sig", to_text(forged));
  EXPECT_THAT(why_not({key_.public_key(), other_.public_key()}), HasSubstr("its signature is not one of key"));
}

TEST_F(Signature, AnotherVersionIsRefusedByItsName) {
  directory_.write("p.so.sig", "retire-cluster plugin signature 2\n");
  EXPECT_THAT(why_not({key_.public_key()}), HasSubstr("its first line must be \"retire-cluster plugin signature 1\""));
}

TEST_F(Signature, OfWhatIsNoFile) {
  EXPECT_EQ(sign_plugin(directory_.path() / "none.so", key_).error().code, ErrorCode::NotFound);
  EXPECT_EQ(sign_plugin(directory_.path(), key_).error().code, ErrorCode::Invalid);
  ASSERT_EQ(::mkfifo((directory_.path() / "pipe.so").c_str(), 0600), 0);
  EXPECT_EQ(sha256_of(directory_.path() / "pipe.so").error().code, ErrorCode::Invalid);
}

TEST_F(Signature, KeysSurviveTheirFiles) {
  const auto secret = directory_.path() / "k.key";
  const auto open = directory_.path() / "k.pub";
  ASSERT_TRUE(key_.write_new(secret, open).ok());
  EXPECT_EQ(std::filesystem::status(secret).permissions(), std::filesystem::perms(0600));
  const auto read = PrivateKey::read(secret);
  ASSERT_TRUE(read.ok()) << read.error().detail;
  EXPECT_EQ(read.value().public_key().bytes(), key_.public_key().bytes());
  EXPECT_EQ(read.value().sign("x"), key_.sign("x"));
  EXPECT_EQ(PublicKey::read(open).value().hash(), key_.public_key().hash());
}

TEST_F(Signature, KeysAreNeverWrittenOverOthers) {
  const auto secret = directory_.path() / "k.key";
  const auto open = directory_.path() / "k.pub";
  directory_.write("k.key", "precious");
  EXPECT_EQ(key_.write_new(secret, open).error().code, ErrorCode::Conflict);
  EXPECT_EQ(content(secret), "precious");
  EXPECT_FALSE(std::filesystem::exists(open));  // no half of a pair stays
}

TEST_F(Signature, APrivateKeyThatOthersMayReadIsRefused) {
  const auto secret = directory_.path() / "k.key";
  ASSERT_TRUE(key_.write_new(secret, directory_.path() / "k.pub").ok());
  for (const mode_t mode : {0640u, 0604u, 0660u, 0602u, 0610u}) {
    ASSERT_EQ(::chmod(secret.c_str(), mode), 0);
    const auto read = PrivateKey::read(secret);
    ASSERT_FALSE(read.ok()) << mode;
    EXPECT_EQ(read.error().code, ErrorCode::Configuration);
    EXPECT_THAT(read.error().detail, HasSubstr("chmod 600"));
  }
}

TEST_F(Signature, APublicKeyThatAnybodyMayReplaceIsRefused) {
  const auto open = directory_.path() / "k.pub";
  ASSERT_TRUE(key_.write_new(directory_.path() / "k.key", open).ok());
  ASSERT_EQ(::chmod(open.c_str(), 0666), 0);
  EXPECT_THAT(PublicKey::read(open).error().detail, HasSubstr("mode 0666"));
}

TEST_F(Signature, AKeyOfAnotherUserIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "skipped: only root can give files away";
  const auto secret = directory_.path() / "k.key";
  ASSERT_TRUE(key_.write_new(secret, directory_.path() / "k.pub").ok());
  ASSERT_EQ(::chown(secret.c_str(), 12345, 12345), 0);
  EXPECT_THAT(PrivateKey::read(secret).error().detail, HasSubstr("owned by user 12345"));
}

TEST_F(Signature, FilesThatAreNoKeysAreRefused) {
  const std::string digits(64, 'a');
  for (const std::string& text :
       {std::string(), std::string("hello\n"), "retire-cluster plugin public key 1\n" + digits,  // no end of the line
        "retire-cluster plugin public key 1\n" + digits + "\nmore",
        "retire-cluster plugin public key 1\n" + digits.substr(1) + "\n",
        "retire-cluster plugin public key 1\n" + digits.substr(1) + "A\n",
        "retire-cluster plugin private key 1\n" + digits + "\n"}) {
    EXPECT_EQ(PublicKey::read(directory_.write("k.pub", text)).error().code, ErrorCode::Configuration) << text;
  }
  EXPECT_EQ(PublicKey::read(directory_.path() / "none.pub").error().code, ErrorCode::NotFound);
  EXPECT_EQ(PublicKey::read(directory_.path()).error().code, ErrorCode::Configuration);
}

// RFC 8032, section 7.1, test 2 and NIST's SHA-256 of "abc": that the library below does what its name says.
TEST_F(Signature, KnownAnswers) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_from_hex(to_hex(sha256("abc"))), sha256("abc"));
  EXPECT_EQ(digest_from_hex(std::string(64, 'A')), std::nullopt);
  EXPECT_EQ(digest_from_hex("ba78"), std::nullopt);
  const auto file = directory_.write("rfc.key",
                                     "retire-cluster plugin private key 1\n"
                                     "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb\n");
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  const auto key = PrivateKey::read(file);
  ASSERT_TRUE(key.ok()) << key.error().detail;
  EXPECT_THAT(key.value().public_key().file_text(),
              HasSubstr("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"));
  EXPECT_EQ(key.value().sign("\x72")[0], 0x92);
  EXPECT_EQ(key.value().sign("\x72")[63], 0x00);
}

}  // namespace
}  // namespace retire
