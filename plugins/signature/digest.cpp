#include "plugins/signature/digest.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "plugins/signature/files.hpp"

namespace retire {

std::string to_hex(const Digest& digest) { return signature::hex(digest); }

std::optional<Digest> digest_from_hex(std::string_view digits) {
  Digest digest;
  if (!signature::from_hex(digits, digest)) return std::nullopt;
  return digest;
}

Digest sha256(std::string_view bytes) {
  Digest digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return digest;
}

Result<Digest> sha256_of(int descriptor, const std::string& name) {
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  std::vector<unsigned char> buffer(std::size_t{256} * 1024);
  off_t offset = 0;
  while (true) {
    const ssize_t got = ::pread(descriptor, buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{ErrorCode::Io, name + ": cannot be read: " + std::strerror(errno)};
    if (got == 0) break;
    crypto_hash_sha256_update(&state, buffer.data(), static_cast<unsigned long long>(got));
    offset += got;
  }
  Digest digest;
  crypto_hash_sha256_final(&state, digest.data());
  return digest;
}

Result<Digest> sha256_of(const std::filesystem::path& file) {
  Result<signature::OpenFile> open = signature::OpenFile::read_only(file);
  if (!open.ok()) return open.error();
  return sha256_of(open.value().descriptor(), file.string());
}

}  // namespace retire
