#include "plugins/loader/image.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace retire {
namespace {

#ifndef MFD_EXEC  // Linux 6.3
constexpr unsigned MFD_NOEXEC_SEAL = 8;
constexpr unsigned MFD_EXEC = 16;
#endif

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
constexpr int kSeals = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// Closes the file, and with it gives back the lease.
class Source {
 public:
  explicit Source(const char* path) : descriptor_(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Source() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  int get() const { return descriptor_; }

  // The kernel grants a lease to read only while nobody has the file open for writing, and makes those who want to
  // open it so wait until we are done. False: somebody has. Where it grants none at all (a file of another user's, a
  // network's), that is not known.
  bool hold_writers() const {
    fcntl(descriptor_, F_SETSIG, SIGURG);  // by which we are told that somebody waits: ignored, unlike SIGIO
    return fcntl(descriptor_, F_SETLEASE, F_RDLCK) == 0 || errno != EAGAIN;
  }

 private:
  int descriptor_;
};

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + std::int64_t{time.tv_nsec};
}

FileState state_from(const struct stat& info) {
  return {info.st_dev, info.st_ino, static_cast<std::uint64_t>(info.st_size), nanoseconds(info.st_mtim),
          nanoseconds(info.st_ctim)};
}

Error failed(const std::string& file, int error) {
  return Error{error == ENOENT ? ErrorCode::PluginNotFound : ErrorCode::Io, file + ": " + std::strerror(error)};
}

// Memory of a file's kind, and whether it may be given the right to be executed. A loader does not ask for that right;
// where vm.memfd_noexec keeps it from everybody (2), or from whoever does not say that he wants it (1), it does
// without.
struct Memory {
  int descriptor;
  bool may_execute;
};
Memory make_memory(const std::string& name) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  int descriptor = memfd_create(name.c_str(), kFlags | MFD_EXEC);
  if (descriptor >= 0) return {descriptor, true};
  if (errno == EACCES) return {memfd_create(name.c_str(), kFlags | MFD_NOEXEC_SEAL), false};
  if (errno == EINVAL) descriptor = memfd_create(name.c_str(), kFlags);  // this kernel knows of no such thing
  return {descriptor, true};
}

bool write_all(int to, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t wrote = write(to, data, size);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    data += wrote;
    size -= static_cast<std::size_t>(wrote);
  }
  return true;
}

std::string hexadecimal(const std::array<unsigned char, crypto_hash_sha256_BYTES>& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace

Result<FileState> state_of(const std::filesystem::path& file) {
  struct stat info {};
  if (stat(file.c_str(), &info) != 0) return failed(file, errno);
  return state_from(info);
}

PluginImage::PluginImage(PluginImage&& other) noexcept
    : file_(std::move(other.file_)),
      hash_(std::move(other.hash_)),
      size_(other.size_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      state_(other.state_) {}

PluginImage::~PluginImage() {
  if (descriptor_ >= 0) close(descriptor_);
}

Result<PluginImage> PluginImage::read(const std::filesystem::path& file, const Check& check) {
  const std::string name = file;
  const Source from(file.c_str());
  if (from.get() < 0) return failed(name, errno);
  struct stat before {};
  if (fstat(from.get(), &before) != 0) return failed(name, errno);
  if (!S_ISREG(before.st_mode)) return Error{ErrorCode::PluginRefused, name + ": not a regular file"};
  if (check) {
    if (Status trusted = check(from.get()); !trusted.ok()) return trusted.error();
  }
  if (static_cast<std::uint64_t>(before.st_size) > kPluginFileBytesMax) {
    return Error{ErrorCode::PluginRefused, name + ": " + std::to_string(before.st_size) + " bytes, over the limit of " +
                                               std::to_string(kPluginFileBytesMax)};
  }
  const Error unfinished{ErrorCode::Busy, name + ": is still being written"};
  if (!from.hold_writers()) return unfinished;

  // What shows in a host's list of mappings, and in a debugger.
  const auto [memory, may_execute] = make_memory(("plugin " + file.filename().string()).substr(0, 200));
  if (memory < 0) return Error{ErrorCode::Io, name + ": no memory for its image: " + std::strerror(errno)};
  PluginImage image(name, memory);
  if (sodium_init() < 0) return Error{ErrorCode::Internal, "libsodium cannot be initialised"};
  crypto_hash_sha256_state hash;
  crypto_hash_sha256_init(&hash);
  std::vector<char> buffer(kReadBytes);
  for (;;) {
    const ssize_t got = ::read(from.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(name, errno);
    if (got == 0) break;
    const auto size = static_cast<std::size_t>(got);
    image.size_ += size;
    if (image.size_ > kPluginFileBytesMax) return unfinished;  // it has grown since
    crypto_hash_sha256_update(&hash, reinterpret_cast<const unsigned char*>(buffer.data()), size);
    if (!write_all(memory, buffer.data(), size)) {
      return Error{ErrorCode::Io, name + ": no memory for its image: " + std::strerror(errno)};
    }
  }
  struct stat after {};
  if (fstat(from.get(), &after) != 0) return failed(name, errno);
  image.state_ = state_from(before);
  if (image.state_ != state_from(after) || image.size_ != image.state_.size) return unfinished;

  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256_final(&hash, digest.data());
  image.hash_ = hexadecimal(digest);
  // Hosts open it by /proc/self/fd as other users than we.
  if (fchmod(memory, may_execute ? 0555 : 0444) != 0 || fcntl(memory, F_ADD_SEALS, kSeals) != 0) {
    return Error{ErrorCode::Io, name + ": its image cannot be sealed: " + std::strerror(errno)};
  }
  return image;
}

}  // namespace retire
