#include "worker/sandbox/scratch.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace retire::sandbox {
namespace {

bool is_dots(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

// One level of a tree that is being removed.
struct Level {
  DIR* directory;
  std::string name;  // in the level above
};

DIR* open_directory(int within, const char* name) {
  int descriptor = openat(within, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor < 0 && errno == EACCES && fchmodat(within, name, 0700, 0) == 0) {  // its owner had locked it
    descriptor = openat(within, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  }
  if (descriptor < 0) return nullptr;
  fchmod(descriptor, 0700);
  DIR* directory = fdopendir(descriptor);
  if (directory == nullptr) close(descriptor);
  return directory;
}

// A name that nobody can have taken beforehand.
std::string unheard_of_name() {
  std::array<unsigned char, 16> chance{};
  if (getrandom(chance.data(), chance.size(), 0) != static_cast<ssize_t>(chance.size())) return {};
  std::string name = ".moved-";
  for (const unsigned char byte : chance) {
    name += static_cast<char>('a' + (byte >> 4));
    name += static_cast<char>('a' + (byte & 15));
  }
  return name;
}

// Moves a directory to `top`, whatever it is called there.
bool move_up(int within, const char* name, int top) {
  const std::string there = unheard_of_name();
  if (there.empty()) return false;
  if (renameat(within, name, top, there.c_str()) == 0) return true;
  // Who moves a directory elsewhere changes it: it must not be locked.
  return errno == EACCES && fchmodat(within, name, 0700, 0) == 0 && renameat(within, name, top, there.c_str()) == 0;
}

// A tree may be deeper than there are descriptors, or than a stack is for recursion: beyond this depth a directory is
// moved up to the top, where it is shallow again.
constexpr std::size_t kDepthMax = 64;

}  // namespace

Result<std::string> make_scratch(const std::string& parent) {
  std::string path = parent + "/attempt-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) {
    return Error{ErrorCode::Io, "no scratch directory can be made in " + parent + ": " + std::strerror(errno)};
  }
  return path;
}

bool has_entries(int descriptor) {
  alignas(8) std::array<char, 1024> buffer;
  if (lseek(descriptor, 0, SEEK_SET) != 0) return false;
  const long got = syscall(SYS_getdents64, descriptor, buffer.data(), buffer.size());
  // Two entries are "." and "..", 24 bytes each.
  return got > 48;
}

bool clear_directory(const std::string& path) {
  DIR* top = open_directory(AT_FDCWD, path.c_str());
  if (top == nullptr) return errno == ENOENT;
  bool all = true;
  std::vector<Level> levels{{top, {}}};
  bool again = false;
  while (!levels.empty()) {
    DIR* directory = levels.back().directory;
    errno = 0;
    const dirent* entry = readdir(directory);
    if (entry == nullptr) {
      if (levels.size() == 1 && again) {  // what was moved up
        again = false;
        rewinddir(directory);
        continue;
      }
      const std::string name = levels.back().name;
      closedir(directory);
      levels.pop_back();
      if (!levels.empty() && unlinkat(dirfd(levels.back().directory), name.c_str(), AT_REMOVEDIR) != 0) all = false;
      continue;
    }
    if (is_dots(entry->d_name)) continue;
    const int within = dirfd(directory);
    if (unlinkat(within, entry->d_name, 0) == 0) continue;
    if (errno != EISDIR && errno != EPERM) {
      if (errno != ENOENT) all = false;
      continue;
    }
    if (levels.size() >= kDepthMax) {
      // Never deeper: there would be no end to it, and to the descriptors it takes.
      move_up(within, entry->d_name, dirfd(top)) ? again = true : all = false;
      continue;
    }
    const std::string name = entry->d_name;
    if (DIR* below = open_directory(within, name.c_str())) {
      levels.push_back({below, name});
    } else {
      all = false;
    }
  }
  return all;
}

bool remove_directory(const std::string& directory) {
  const bool cleared = clear_directory(directory);
  return (rmdir(directory.c_str()) == 0 || errno == ENOENT) && cleared;
}

}  // namespace retire::sandbox
