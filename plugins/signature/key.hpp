// Keys that plugins are signed and verified with (Ed25519, by libsodium), and the files that they lie in.
//
// A key file is two lines of text: what it is and its version, then 64 hexadecimal digits.
//
//   retire-cluster plugin public key 1          retire-cluster plugin private key 1
//   <the public key>                            <the seed>
//
// Threads: all of it may be used by several at a time.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "plugins/signature/digest.hpp"

namespace retire {

class PublicKey {
 public:
  static constexpr std::size_t kBytes = 32;
  using Bytes = std::array<std::uint8_t, kBytes>;

  // Errors: NotFound, Configuration (not such a file, or one that others may write to), Io; each names the file.
  static Result<PublicKey> read(const std::filesystem::path& file);

  explicit PublicKey(const Bytes& bytes);

  const Bytes& bytes() const { return bytes_; }
  // Its SHA-256.
  const Digest& hash() const { return hash_; }
  // What it is called where people read: the first 16 digits of its hash.
  std::string id() const { return to_hex(hash_).substr(0, 16); }
  std::string file_text() const;

 private:
  Bytes bytes_;
  Digest hash_;
};

// Wiped from memory when it goes.
class PrivateKey {
 public:
  // From the system's source of random numbers.
  static PrivateKey generate();
  // Errors: NotFound, Configuration (not such a file; not ours; or one that anybody else may read), Io.
  static Result<PrivateKey> read(const std::filesystem::path& file);

  PrivateKey(PrivateKey&& other) noexcept;
  PrivateKey& operator=(PrivateKey&&) = delete;
  ~PrivateKey();

  PublicKey public_key() const;
  std::array<std::uint8_t, 64> sign(std::string_view message) const;

  // Makes both files, the private one with mode 0600, and never over one that is there. When the second cannot be made
  // the first is taken away again. Errors: Conflict (one of them is there), Io; each names the file.
  Status write_new(const std::filesystem::path& private_file, const std::filesystem::path& public_file) const;

 private:
  PrivateKey() = default;
  std::array<std::uint8_t, 32> seed_{};
  std::array<std::uint8_t, 64> secret_{};  // the seed, expanded
};

}  // namespace retire
