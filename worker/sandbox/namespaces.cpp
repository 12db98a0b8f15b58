#include "worker/sandbox/namespaces.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

namespace retire::sandbox {
namespace {

constexpr const char* kHidden[] = {"/tmp",  "/var/tmp", "/dev",   "/run", "/home",
                                   "/root", "/mnt",     "/media", "/srv", "/sys/fs/cgroup"};
constexpr const char* kDevices[] = {"null", "zero", "full", "random", "urandom", "tty"};
constexpr const char* kScratchAt[] = {"/tmp", "/var/tmp", "/dev/shm"};

Error failed(const std::string& what) { return {ErrorCode::Io, "namespaces: " + what + ": " + std::strerror(errno)}; }

bool write_file(const char* path, const std::string& text) {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool wrote = write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int error = errno;
  close(file);
  errno = error;
  return wrote;
}

// A mount of what lies at `path`, to be put somewhere else; closed when it goes.
class Taken {
 public:
  explicit Taken(const std::string& path, bool with_below = true)
      : descriptor_(open_tree(AT_FDCWD, path.c_str(),
                              OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (with_below ? unsigned{AT_RECURSIVE} : 0u))) {}
  Taken(Taken&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Taken& operator=(Taken&&) = delete;
  ~Taken() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  bool valid() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  bool put(const std::string& at) const {
    return move_mount(descriptor_, "", AT_FDCWD, at.c_str(), MOVE_MOUNT_F_EMPTY_PATH) == 0;
  }

 private:
  int descriptor_;
};

bool restrict_mount(int from, const char* path, std::uint64_t set, unsigned flags) {
  mount_attr attributes{};
  attributes.attr_set = set;
  return mount_setattr(from, path, flags, &attributes, sizeof attributes) == 0;
}

// Directories made on the way can be entered by everybody.
void make_directories(const std::filesystem::path& path) {
  std::filesystem::path at = "/";
  for (const auto& part : path.relative_path()) {
    at /= part;
    mkdir(at.c_str(), 0755);
  }
}

bool is_directory(const std::string& path) {
  struct stat info {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// Whether the root that this process sees is a mount: in a plain chroot it is a directory like others, and neither can
// it be made read-only nor can what lies below be taken out of the machine's sight.
bool root_is_mount() {
  struct statx info {};
  if (statx(AT_FDCWD, "/", 0, 0, &info) != 0 || (info.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0) return true;
  return (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// In a chroot: goes over into a mount of the same directory, with copies of all mounts below. It has to lie somewhere,
// and nobody outside is to see it: on /proc, which is a mount of its own and so can be made private first; what is
// above the root cannot.
Status make_root_a_mount() {
  if (mount(nullptr, "/proc", nullptr, MS_PRIVATE, nullptr) != 0) {
    return failed("the root is a chroot directory and has no /proc mounted (mount -t proc proc ROOT/proc)");
  }
  const Taken root("/");
  if (!root.valid()) return failed("the root, which is a chroot directory, cannot be taken");
  mount_attr attributes{};
  attributes.propagation = MS_PRIVATE;
  if (mount_setattr(root.descriptor(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0) {
    return failed("mounts of the chroot directory cannot be made private");
  }
  if (!root.put("/proc")) return failed("a mount of the chroot directory cannot be put on /proc");
  if (fchdir(root.descriptor()) != 0 || chroot(".") != 0) return failed("chroot into a mount of the chroot directory");
  return ok_status();
}

bool file_says(const char* path, char wanted) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  char first = 0;
  const bool said = file >= 0 && read(file, &first, 1) == 1 && first == wanted;
  if (file >= 0) close(file);
  return said;
}

// Why a plain user got no user namespace, and what to do, after unshare() failed.
Error no_user_namespace() {
  const int error = errno;
  std::string why;
  if (!root_is_mount()) {
    why = "the worker's root is a chroot directory, in which the kernel makes no user namespaces";
  } else if (file_says("/proc/sys/kernel/unprivileged_userns_clone", '0')) {
    why = "the setting kernel.unprivileged_userns_clone is 0";
  } else if (file_says("/proc/sys/user/max_user_namespaces", '0')) {
    why = "the setting user.max_user_namespaces is 0";
  } else {
    why = "a chroot, a container or a setting of this machine may forbid user namespaces";
  }
  errno = error;
  return failed("unshare as a plain user (" + why + "; a worker that is started as root needs none)");
}

}  // namespace

Status leave_namespaces(const Policy& policy) {
  int wanted = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
  if (!policy.network) wanted |= CLONE_NEWNET;
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (user != 0) wanted |= CLONE_NEWUSER;
  if (unshare(wanted) != 0) return user != 0 ? no_user_namespace() : failed("unshare");
  if (user == 0) return ok_status();
  if (!write_file("/proc/self/setgroups", "deny") ||
      !write_file("/proc/self/uid_map", std::to_string(user) + " " + std::to_string(user) + " 1") ||
      !write_file("/proc/self/gid_map", std::to_string(group) + " " + std::to_string(group) + " 1")) {
    return failed("user map");
  }
  return ok_status();
}

Status arrange_mounts(Policy& policy) {
  if (!root_is_mount()) {
    if (Status made = make_root_a_mount(); !made.ok()) return made;
  } else if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return failed("mounts cannot be made private");
  }
  // What is to stay as it is, taken before it is covered.
  std::vector<std::pair<std::string, Taken>> scratch;
  for (const char* at : kScratchAt) {
    Taken taken(policy.scratch);
    if (!taken.valid()) return failed(policy.scratch);
    restrict_mount(taken.descriptor(), "", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, AT_EMPTY_PATH);
    scratch.emplace_back(at, std::move(taken));
  }
  std::vector<std::pair<std::string, Taken>> kept;
  for (const std::string& path : policy.writable) {
    Taken taken(path);
    if (!taken.valid()) return failed(path);
    restrict_mount(taken.descriptor(), "", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, AT_EMPTY_PATH | AT_RECURSIVE);
    kept.emplace_back(path, std::move(taken));
  }
  std::vector<std::pair<std::string, Taken>> devices;
  for (const char* name : kDevices) {
    if (Taken device(std::string("/dev/") + name, false); device.valid()) devices.emplace_back(name, std::move(device));
  }

  for (const char* path : kHidden) {
    if (!is_directory(path)) continue;
    if (mount("none", path, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k") != 0) return failed(path);
  }
  for (const auto& [name, device] : devices) {
    const std::string at = "/dev/" + name;
    close(open(at.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    if (!device.put(at)) return failed(at);
  }
  mkdir("/dev/shm", 0755);
  for (const auto& [name, target] : {std::pair{"fd", "/proc/self/fd"}, std::pair{"stdin", "/proc/self/fd/0"},
                                     std::pair{"stdout", "/proc/self/fd/1"}, std::pair{"stderr", "/proc/self/fd/2"}}) {
    [[maybe_unused]] const int made = symlinkat(target, AT_FDCWD, (std::string("/dev/") + name).c_str());
  }
  for (const auto& [path, taken] : kept) make_directories(path);
  if (mount("none", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) return failed("/proc");

  if (!restrict_mount(AT_FDCWD, "/", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, AT_RECURSIVE)) {
    return failed("the root cannot be made read-only");
  }
  for (const auto& [at, taken] : scratch) {
    if (is_directory(at) && !taken.put(at)) return failed(at);
  }
  for (const auto& [path, taken] : kept) {
    if (!taken.put(path)) return failed(path);
  }
  policy.scratch = "/tmp";
  return ok_status();
}

std::string scratch_place_of(const std::string& path) {
  for (const char* const at : kScratchAt) {
    const std::string place(at);
    if (path == place || path.starts_with(place + "/")) return place;
  }
  return {};
}

}  // namespace retire::sandbox
