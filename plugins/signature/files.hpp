// Small text files, and hexadecimal digits. Private to plugins/signature.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/result.hpp"

namespace retire::signature {

inline constexpr std::size_t kSmallFileMax = 4096;

// An open regular file.
class OpenFile {
 public:
  // Errors: NotFound, Invalid (not a regular file), Io.
  static Result<OpenFile> read_only(const std::filesystem::path& file);
  OpenFile(OpenFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), info_(other.info_) {}
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile();

  int descriptor() const { return descriptor_; }
  const struct stat& info() const { return info_; }

 private:
  explicit OpenFile(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
  struct stat info_ {};
};

// The whole text. Errors: Io; TooLarge, beyond kSmallFileMax.
Result<std::string> read_small(const OpenFile& file, const std::filesystem::path& name);

// Makes a file that was not there, all of it on the disk or none. Errors: Conflict (something is there), Io.
Status write_new(const std::filesystem::path& file, std::string_view text, mode_t mode);
// The same over what is there, at once for whoever reads. Errors: Io.
Status write_over(const std::filesystem::path& file, std::string_view text, mode_t mode);

std::string hex(std::span<const std::uint8_t> bytes);
// False unless `digits` are exactly as many lower-case digits as fill `out`.
bool from_hex(std::string_view digits, std::span<std::uint8_t> out);

// The next line without its end, taken off `text`; nullopt when there is none that is ended.
std::optional<std::string_view> take_line(std::string_view& text);

}  // namespace retire::signature
