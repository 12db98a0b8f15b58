#include "worker/sandbox/landlock.hpp"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string_view>

namespace retire::sandbox {
namespace {

// Newer than the headers that this may be built with.
constexpr std::uint64_t kRefer = 1u << 13;            // version 2
constexpr std::uint64_t kTruncate = 1u << 14;         // 3
constexpr std::uint64_t kIoctlDev = 1u << 15;         // 5
constexpr std::uint64_t kScopes = 1u << 0 | 1u << 1;  // 6: abstract sockets, signals

struct RulesetAttributes {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scopes = 0;
};

constexpr std::uint64_t kReadAndRun =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kOfAFile =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate | kIoctlDev;

constexpr const char* kSystem[] = {"/usr",
                                   "/bin",
                                   "/sbin",
                                   "/lib",
                                   "/lib32",
                                   "/lib64",
                                   "/libx32",
                                   "/etc",
                                   "/opt",
                                   "/proc",
                                   "/sys",
                                   "/run/systemd/resolve",
                                   "/run/resolvconf",
                                   "/run/NetworkManager/resolv.conf",  // where /etc/resolv.conf may lead
                                   "/nix/store",
                                   "/gnu/store",
                                   "/system",
                                   "/vendor",
                                   "/apex",
                                   "/linkerconfig"};
constexpr const char* kDevices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};

std::uint64_t all_rights(int version) {
  std::uint64_t rights = (std::uint64_t{LANDLOCK_ACCESS_FS_MAKE_SYM} << 1) - 1;
  if (version >= 2) rights |= kRefer;
  if (version >= 3) rights |= kTruncate;
  if (version >= 5) rights |= kIoctlDev;
  return rights;
}

class Ruleset {
 public:
  explicit Ruleset(int version) : all_(all_rights(version)) {
    RulesetAttributes attributes;
    attributes.files = all_;
    if (version >= 6) attributes.scopes = kScopes;
    const std::size_t size = version >= 6 ? sizeof attributes : version >= 4 ? 16 : 8;
    descriptor_ = static_cast<int>(syscall(SYS_landlock_create_ruleset, &attributes, size, 0));
  }
  ~Ruleset() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Ruleset(const Ruleset&) = delete;
  Ruleset& operator=(const Ruleset&) = delete;

  std::uint64_t all() const { return all_; }

  // What is not there needs no rule. False with errno.
  bool allow(const std::string& path, std::uint64_t rights) const {
    const int beneath = open(path.c_str(), O_PATH | O_CLOEXEC);
    if (beneath < 0) return errno == ENOENT || errno == EACCES || errno == ENOTDIR;
    struct stat info {};
    fstat(beneath, &info);
    landlock_path_beneath_attr rule{};
    rule.parent_fd = beneath;
    rule.allowed_access = rights & all_ & (S_ISDIR(info.st_mode) ? ~std::uint64_t{0} : kOfAFile);
    const bool added = syscall(SYS_landlock_add_rule, descriptor_, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    const int error = errno;
    close(beneath);
    errno = error;
    return added;
  }

  bool enforce() const { return syscall(SYS_landlock_restrict_self, descriptor_, 0) == 0; }
  bool valid() const { return descriptor_ >= 0; }

 private:
  std::uint64_t all_;
  int descriptor_ = -1;
};

// Device files of graphics processors: without them a device that has one could not use it.
std::vector<std::string> graphics() {
  std::vector<std::string> found;
  std::error_code failed;
  for (std::filesystem::directory_iterator entry("/dev", failed), end; !failed && entry != end;
       entry.increment(failed)) {
    const std::string name = entry->path().filename();
    if (name == "dri" || name == "kfd" || name.starts_with("nvidia") || name.starts_with("mali") ||
        name.starts_with("kgsl")) {
      found.push_back(entry->path());
    }
  }
  return found;
}

// Where the certificates of authorities lie, if the worker was told that by its environment, as its hosts are.
std::vector<std::string> certificates() {
  std::vector<std::string> found;
  for (const char* name : {"SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    const char* value = std::getenv(name);
    std::string_view rest = value == nullptr ? "" : value;
    while (!rest.empty()) {  // the second may name several
      const std::string_view path = rest.substr(0, rest.find(':'));
      rest.remove_prefix(std::min(path.size() + 1, rest.size()));
      if (path.starts_with('/')) found.emplace_back(path);
    }
  }
  return found;
}

Error failed(const std::string& what) { return {ErrorCode::Io, "landlock: " + what + ": " + std::strerror(errno)}; }

}  // namespace

int landlock_version() {
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION);
  return version > 0 ? static_cast<int>(version) : 0;
}

Status restrict_files(const Policy& policy) {
  const int version = landlock_version();
  if (version == 0) return ok_status();
  const Ruleset rules(version);
  if (!rules.valid()) return failed("no set of rules can be made");
  for (const char* path : kSystem) {
    if (!rules.allow(path, kReadAndRun)) return failed(path);
  }
  if (const char* prefix = std::getenv("PREFIX"); prefix != nullptr && prefix[0] == '/') {  // Termux
    if (!rules.allow(prefix, kReadAndRun)) return failed(prefix);
  }
  for (const std::string& path : certificates()) {
    if (!rules.allow(path, LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)) return failed(path);
  }
  constexpr std::uint64_t kUse = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kIoctlDev;
  for (const char* path : kDevices) {
    if (!rules.allow(path, kUse)) return failed(path);
  }
  for (const std::string& path : graphics()) {
    if (!rules.allow(path, kUse | LANDLOCK_ACCESS_FS_READ_DIR)) return failed(path);
  }
  const std::uint64_t own = rules.all() & ~std::uint64_t{LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK};
  if (!policy.scratch.empty() && !rules.allow(policy.scratch, own)) return failed(policy.scratch);
  for (const std::string& path : policy.writable) {
    if (!rules.allow(path, own)) return failed(path);
  }
  if (!rules.enforce()) return failed("cannot be switched on");
  return ok_status();
}

}  // namespace retire::sandbox
