// The bytes of a plugin's file, taken once: what was checked, hashed and probed is what every host loads, whatever
// becomes of the file meanwhile.
//
// The copy lies in anonymous memory of the kernel (memfd) that is sealed: nobody can change it any more, not even we.
// Threads: immutable after it was made; may be shared.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace retire {

inline constexpr std::size_t kPluginFileBytesMax = std::size_t{512} << 20;

// What a file was when it was looked at: another content of it has another one of these.
struct FileState {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified_ns = 0;  // since 1970, by the file system's clock
  std::int64_t changed_ns = 0;   // and when its owner, mode or content changed

  friend bool operator==(const FileState&, const FileState&) = default;
};

// Of what `file` leads to. Errors: PluginNotFound, Io.
Result<FileState> state_of(const std::filesystem::path& file);

class PluginImage {
 public:
  // May what was opened be read? See check_trusted_open().
  using Check = std::function<Status(int descriptor)>;

  // Copies `file`, if `check` (none: whatever it is) finds nothing wrong with it once it is open. Errors: those of
  // `check`, PluginNotFound, PluginRefused (not a regular file, or too large), Busy (another process has it open for
  // writing, or it changed while it was read: it is not complete), Io.
  static Result<PluginImage> read(const std::filesystem::path& file, const Check& check = {});

  PluginImage(PluginImage&& other) noexcept;
  PluginImage& operator=(PluginImage&&) = delete;
  ~PluginImage();

  const std::string& file() const { return file_; }  // what it is called
  const std::string& hash() const { return hash_; }  // SHA-256, 64 lower-case hexadecimal digits
  std::size_t size() const { return size_; }         // bytes
  int descriptor() const { return descriptor_; }     // of the copy; close-on-exec
  const FileState& state() const { return state_; }  // of the file when it was read

 private:
  PluginImage(std::string file, int descriptor) : file_(std::move(file)), descriptor_(descriptor) {}

  std::string file_;
  std::string hash_;
  std::size_t size_ = 0;
  int descriptor_ = -1;
  FileState state_;
};

}  // namespace retire
