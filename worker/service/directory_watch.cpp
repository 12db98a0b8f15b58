#include "worker/service/directory_watch.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace retire::worker {
namespace {

constexpr std::uint32_t kWithin = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO |
                                  IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
constexpr std::uint32_t kAbove =
    IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

}  // namespace

DirectoryWatch::DirectoryWatch(std::vector<std::filesystem::path> directories)
    : directories_(std::move(directories)), descriptor_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  for (std::filesystem::path& directory : directories_) {
    std::error_code failed;
    const std::filesystem::path whole = std::filesystem::absolute(directory, failed).lexically_normal();
    if (!failed) directory = whole.has_filename() ? whole : whole.parent_path();
  }
  arm();
}

DirectoryWatch::~DirectoryWatch() {
  if (descriptor_ >= 0) close(descriptor_);
}

void DirectoryWatch::add(const std::filesystem::path& directory, const std::string& name, std::map<int, Watched>& to) {
  // One that is watched for both keeps the wider mask: the second call would replace the first.
  const int watch = inotify_add_watch(descriptor_, directory.c_str(), (name.empty() ? kWithin : kAbove) | IN_MASK_ADD);
  if (watch < 0) {
    complete_ &= errno == ENOENT || errno == ENOTDIR;
    return;
  }
  Watched& watched = to[watch];
  if (name.empty()) {
    watched.any = true;
  } else {
    watched.names.push_back(name);
  }
}

void DirectoryWatch::arm() {
  complete_ = descriptor_ >= 0;
  if (descriptor_ < 0) return;
  std::map<int, Watched> now;
  for (const std::filesystem::path& directory : directories_) {
    add(directory, "", now);
    // From the directory upwards to the first that is there, so that its coming is seen; and one more, for a link.
    std::filesystem::path at = directory;
    std::error_code failed;
    while (at.has_relative_path()) {
      const std::filesystem::path above = at.parent_path();
      const bool there = std::filesystem::is_directory(above, failed);
      if (there) add(above, at.filename(), now);
      if (there) break;
      at = above;
    }
  }
  for (const auto& [watch, watched] : watched_) {
    if (!now.contains(watch)) inotify_rm_watch(descriptor_, watch);
  }
  watched_ = std::move(now);
}

bool DirectoryWatch::drain() {
  bool changed = false;
  alignas(inotify_event) std::array<char, 16384> buffer;
  for (;;) {
    const ssize_t got = read(descriptor_, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    for (std::size_t at = 0; at + sizeof(inotify_event) <= static_cast<std::size_t>(got);) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const std::string name(event.len > 0 ? buffer.data() + at + sizeof event : "");
      at += sizeof event + event.len;
      if ((event.mask & IN_Q_OVERFLOW) != 0) {
        changed = true;
        continue;
      }
      const auto found = watched_.find(event.wd);
      if (found == watched_.end()) continue;
      const bool of_itself = (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) != 0;
      const std::vector<std::string>& names = found->second.names;
      changed |= of_itself || found->second.any || std::find(names.begin(), names.end(), name) != names.end();
    }
  }
  if (changed) arm();
  return changed;
}

}  // namespace retire::worker
