#include "plugins/signature/files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace retire::signature {
namespace {

Error io(const std::filesystem::path& file, const char* what, int reason) {
  return Error{ErrorCode::Io, file.string() + ": cannot be " + what + ": " + std::strerror(reason)};
}

// Closes the descriptor. Returns 0, or the error number.
int write_and_close(int descriptor, std::string_view text) {
  int reason = 0;
  while (!text.empty() && reason == 0) {
    const ssize_t done = ::write(descriptor, text.data(), text.size());
    if (done >= 0) {
      text.remove_prefix(static_cast<std::size_t>(done));
    } else if (errno != EINTR) {
      reason = errno;
    }
  }
  if (reason == 0 && ::fsync(descriptor) != 0) reason = errno;
  if (::close(descriptor) != 0 && reason == 0) reason = errno;
  return reason;
}

}  // namespace

Result<OpenFile> OpenFile::read_only(const std::filesystem::path& file) {
  OpenFile open(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // a pipe of that name ends at once
  if (open.descriptor_ < 0) {
    const int reason = errno;
    if (reason == ENOENT || reason == ENOTDIR) return Error{ErrorCode::NotFound, file.string() + ": no such file"};
    return io(file, "read", reason);
  }
  if (::fstat(open.descriptor_, &open.info_) != 0) return io(file, "read", errno);
  if (!S_ISREG(open.info_.st_mode)) return Error{ErrorCode::Invalid, file.string() + ": not a file"};
  return open;
}

OpenFile::~OpenFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::string> read_small(const OpenFile& file, const std::filesystem::path& name) {
  std::string text(kSmallFileMax + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::pread(file.descriptor(), text.data() + size, text.size() - size, static_cast<off_t>(size));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io(name, "read", errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
  }
  if (size > kSmallFileMax) {
    return Error{ErrorCode::TooLarge, name.string() + ": more than " + std::to_string(kSmallFileMax) + " bytes"};
  }
  text.resize(size);
  return text;
}

Status write_new(const std::filesystem::path& file, std::string_view text, mode_t mode) {
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (descriptor < 0) {
    if (errno == EEXIST) {
      return Error{ErrorCode::Conflict, file.string() + ": is there already; choose another name or move it away"};
    }
    return io(file, "made", errno);
  }
  ::fchmod(descriptor, mode);  // whatever the umask says
  if (const int reason = write_and_close(descriptor, text); reason != 0) {
    ::unlink(file.c_str());
    return io(file, "written", reason);
  }
  return ok_status();
}

Status write_over(const std::filesystem::path& file, std::string_view text, mode_t mode) {
  std::string temporary = file.string() + ".XXXXXX";
  const int descriptor = ::mkstemp(temporary.data());
  if (descriptor < 0) return io(file, "written", errno);
  ::fchmod(descriptor, mode);
  int reason = write_and_close(descriptor, text);
  if (reason == 0 && ::rename(temporary.c_str(), file.c_str()) != 0) reason = errno;
  if (reason == 0) return ok_status();
  ::unlink(temporary.c_str());
  return io(file, "written", reason);
}

std::string hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const std::uint8_t byte : bytes) out.append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
  return out;
}

bool from_hex(std::string_view digits, std::span<std::uint8_t> out) {
  if (digits.size() != 2 * out.size()) return false;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const char c = digits[i];
    const int value = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
    if (value < 0) return false;
    std::uint8_t& byte = out[i / 2];
    byte = static_cast<std::uint8_t>(i % 2 == 0 ? value << 4 : byte | value);
  }
  return true;
}

std::optional<std::string_view> take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  return line;
}

}  // namespace retire::signature
