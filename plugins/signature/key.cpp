#include "plugins/signature/key.hpp"

#include <sodium.h>
#include <unistd.h>

#include <cstdio>

#include "common/base/assert.hpp"
#include "plugins/signature/files.hpp"

namespace retire {
namespace {

using namespace signature;

constexpr std::string_view kPublicHead = "retire-cluster plugin public key 1";
constexpr std::string_view kPrivateHead = "retire-cluster plugin private key 1";

static_assert(crypto_sign_PUBLICKEYBYTES == PublicKey::kBytes);
static_assert(crypto_sign_SEEDBYTES == 32 && crypto_sign_SECRETKEYBYTES == 64 && crypto_sign_BYTES == 64);

// Without it libsodium's random numbers are not ready. May be called often.
void ready() { RC_ASSERT(sodium_init() >= 0); }

Error unusable(const std::filesystem::path& file, const std::string& why) {
  return Error{ErrorCode::Configuration, file.string() + ": " + why};
}

std::string mode_text(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777));
  return text;
}

bool is_owned_well(const struct stat& info) { return info.st_uid == 0 || info.st_uid == ::geteuid(); }

Status read_key(const OpenFile& open, const std::filesystem::path& file, std::string_view head,
                std::span<std::uint8_t> out) {
  Result<std::string> text = read_small(open, file);
  if (!text.ok()) return text.error();
  std::string_view rest = text.value();
  const auto first = take_line(rest);
  const auto digits = take_line(rest);
  const bool is_this = first == head;
  const bool good = is_this && digits && from_hex(*digits, out) && rest.empty();
  sodium_memzero(text.value().data(), text.value().size());
  if (good) return ok_status();
  return unusable(
      file, is_this ? "its second line must be " + std::to_string(2 * out.size()) + " hexadecimal digits, and the last"
                    : "its first line must be \"" + std::string(head) + "\"");
}

Result<OpenFile> open_key(const std::filesystem::path& file) {
  Result<OpenFile> open = OpenFile::read_only(file);
  if (!open.ok() && open.error().code == ErrorCode::Invalid) return unusable(file, "not a file");
  return open;
}

}  // namespace

Result<PublicKey> PublicKey::read(const std::filesystem::path& file) {
  const Result<OpenFile> open = open_key(file);
  if (!open.ok()) return open.error();
  const struct stat& info = open.value().info();
  if (!is_owned_well(info)) {
    return unusable(file, "owned by user " + std::to_string(info.st_uid) + ", neither root nor this program's user");
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return unusable(file, "mode " + mode_text(info.st_mode) + ": anybody could put another key there (chmod o-w)");
  }
  Bytes bytes;
  if (const Status read = read_key(open.value(), file, kPublicHead, bytes); !read.ok()) return read.error();
  return PublicKey(bytes);
}

PublicKey::PublicKey(const Bytes& bytes)
    : bytes_(bytes), hash_(sha256({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) {}

std::string PublicKey::file_text() const { return std::string(kPublicHead) + '\n' + hex(bytes_) + '\n'; }

PrivateKey PrivateKey::generate() {
  ready();
  PrivateKey key;
  randombytes_buf(key.seed_.data(), key.seed_.size());
  PublicKey::Bytes ignored;
  crypto_sign_seed_keypair(ignored.data(), key.secret_.data(), key.seed_.data());
  return key;
}

Result<PrivateKey> PrivateKey::read(const std::filesystem::path& file) {
  ready();
  const Result<OpenFile> open = open_key(file);
  if (!open.ok()) return open.error();
  PrivateKey key;
  if (const Status read = read_key(open.value(), file, kPrivateHead, key.seed_); !read.ok()) return read.error();
  const struct stat& info = open.value().info();
  if (!is_owned_well(info)) {
    return unusable(file, "owned by user " + std::to_string(info.st_uid) + ", neither root nor this program's user");
  }
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return unusable(
        file, "mode " + mode_text(info.st_mode) +
                  ": others than its owner may use it (chmod 600; if somebody may have read it, make another key)");
  }
  PublicKey::Bytes ignored;
  crypto_sign_seed_keypair(ignored.data(), key.secret_.data(), key.seed_.data());
  return key;
}

PrivateKey::PrivateKey(PrivateKey&& other) noexcept : seed_(other.seed_), secret_(other.secret_) {
  sodium_memzero(other.seed_.data(), other.seed_.size());
  sodium_memzero(other.secret_.data(), other.secret_.size());
}

PrivateKey::~PrivateKey() {
  sodium_memzero(seed_.data(), seed_.size());
  sodium_memzero(secret_.data(), secret_.size());
}

PublicKey PrivateKey::public_key() const {
  PublicKey::Bytes bytes;
  crypto_sign_ed25519_sk_to_pk(bytes.data(), secret_.data());
  return PublicKey(bytes);
}

std::array<std::uint8_t, 64> PrivateKey::sign(std::string_view message) const {
  std::array<std::uint8_t, 64> out;
  crypto_sign_detached(out.data(), nullptr, reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                       secret_.data());
  return out;
}

Status PrivateKey::write_new(const std::filesystem::path& private_file,
                             const std::filesystem::path& public_file) const {
  if (const Status made = signature::write_new(public_file, public_key().file_text(), 0644); !made.ok()) return made;
  std::string text = std::string(kPrivateHead) + '\n' + hex(seed_) + '\n';
  const Status made = signature::write_new(private_file, text, 0600);
  sodium_memzero(text.data(), text.size());
  if (!made.ok()) ::unlink(public_file.c_str());
  return made;
}

}  // namespace retire
