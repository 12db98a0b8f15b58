#include "worker/service/sandboxing.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

#include "worker/cgroup/place.hpp"
#include "worker/host/sandbox_check.hpp"
#include "worker/sandbox/namespaces.hpp"

namespace retire::worker {
namespace {

constexpr std::uint64_t kMemoryLeast = std::uint64_t{256} << 20;
constexpr double kGigabyte = 1024.0 * 1024.0 * 1024.0;

Error wrong(std::string detail) { return {ErrorCode::Configuration, std::move(detail)}; }

sandbox::Level level_of(const std::string& name) {
  if (name == "off") return sandbox::Level::Off;
  return name == "strict" ? sandbox::Level::Strict : sandbox::Level::Basic;
}

Isolation isolation_of(sandbox::Level level) {
  if (level == sandbox::Level::Off) return Isolation::Off;
  return level == sandbox::Level::Strict ? Isolation::Strict : Isolation::Basic;
}

Status find_user(const std::string& name, sandbox::SeatsConfig& config) {
  if (geteuid() != 0) return wrong("--run-as " + name + ": only root can run handlers as somebody else");
  std::array<char, 16384> text{};
  passwd entry{};
  passwd* found = nullptr;
  getpwnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  if (found == nullptr) return wrong("--run-as " + name + ": there is no such user");
  if (found->pw_uid == 0) return wrong("--run-as " + name + " is root; to lock nothing in, say --sandbox off");
  config.run_as = found->pw_uid;
  config.run_as_group = found->pw_gid;
  return ok_status();
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

std::string temporary_directory() {
  const char* named = std::getenv("TMPDIR");
  return named != nullptr && named[0] == '/' ? named : "/tmp";
}

// Whether a user that owns nothing and is in no group gets as far as into `directory`.
bool others_can_reach(const std::filesystem::path& directory) {
  std::error_code failed;
  std::filesystem::path at = std::filesystem::canonical(directory, failed);
  for (; !failed; at = at.parent_path()) {
    struct stat info {};
    if (stat(at.c_str(), &info) != 0 || (info.st_mode & S_IXOTH) == 0) return false;
    if (!at.has_relative_path()) return true;
  }
  return true;  // it is not there, which is said when it is used
}

// Null with a note where there are none for us, which is no fault.
std::shared_ptr<cgroup::Groups> find_groups(std::vector<std::string>& notes) {
  const Result<cgroup::Place> place = cgroup::find_place(cgroup::surroundings());
  Result<std::shared_ptr<cgroup::Groups>> groups =
      place.ok() ? cgroup::Groups::open(place.value()) : Result<std::shared_ptr<cgroup::Groups>>(place.error());
  if (groups.ok()) return std::move(groups).value();
  notes.push_back("control groups are not used: " + groups.error().detail);
  return nullptr;
}

// Once more without control groups where it is they that cannot be had after all.
Result<host::SandboxCheck> check(const std::string& handler_host, sandbox::SeatsConfig& config, Sandboxing& out) {
  out.seats = sandbox::Seats::make(config);
  Result<host::SandboxCheck> first = host::check_sandbox(handler_host, *out.seats);
  const std::string why = first.ok() ? first.value().failed : first.error().detail;
  if (config.groups == nullptr || why.find("control group") == std::string::npos) return first;
  out.notes.push_back("control groups are not used: " + why);
  config.groups = nullptr;
  out.seats = sandbox::Seats::make(config);
  return host::check_sandbox(handler_host, *out.seats);
}

}  // namespace

Result<Sandboxing> set_up_sandbox(const Options& options, const Capabilities& device, const std::string& handler_host) {
  sandbox::SeatsConfig config;
  config.level = level_of(options.sandbox);
  config.temporary = temporary_directory();
  std::string moved;
  if (geteuid() == 0 && config.level != sandbox::Level::Off && !others_can_reach(config.temporary)) {
    moved = "TMPDIR " + config.temporary +
            " is closed to the users that handlers run as: their scratch directories lie in /tmp";
    config.temporary = "/tmp";
  }
  config.limits.processes = options.handler_processes;
  const double share = options.handler_memory_gb > 0
                           ? options.handler_memory_gb
                           : device.memory_total_gb / std::max(device.slots, std::uint32_t{1});
  config.limits.memory_bytes = std::max(static_cast<std::uint64_t>(share * kGigabyte), kMemoryLeast);
  if (!options.run_as.empty()) {
    if (Status found = find_user(options.run_as, config); !found.ok()) return found.error();
  }
  for (const std::string& path : options.allow_paths) {
    std::error_code failed;
    const std::filesystem::path whole = std::filesystem::canonical(path, failed);
    if (failed) return wrong("--allow-path " + path + ": " + failed.message());
    if (!std::filesystem::is_directory(whole, failed)) return wrong("--allow-path " + path + ": not a directory");
    if (const std::string place = sandbox::scratch_place_of(whole);
        config.level == sandbox::Level::Strict && !place.empty()) {
      return wrong("--allow-path " + path + ": " + place +
                   " is the scratch directory of each handler at --sandbox strict; name a directory elsewhere");
    }
    config.writable.push_back(whole);
  }

  Sandboxing out;
  if (config.level != sandbox::Level::Off) config.groups = find_groups(out.notes);
  Result<host::SandboxCheck> checked = check(handler_host, config, out);
  if (!checked.ok()) return checked.error();
  if (config.level == sandbox::Level::Off) {
    out.summary = geteuid() == 0 ? "off: handlers run as root and may do anything"
                                 : "off: handlers may do whatever the worker's user may";
    return out;
  }
  const auto has_all = [&] { return checked.value().achieved == config.level; };
  const auto why_not = [&] {
    return checked.value().failed.empty() ? joined(checked.value().missing) : checked.value().failed;
  };
  if (config.level == sandbox::Level::Strict && !has_all()) {
    return wrong("--sandbox strict cannot be had here: " + why_not() + "; --sandbox basic asks for less");
  }
  if (!has_all() && config.filter &&
      why_not().find("seccomp") != std::string::npos) {  // the rest is better than nothing
    config.filter = false;
    checked = check(handler_host, config, out);
    if (!checked.ok()) return checked.error();
  }
  if (!checked.value().failed.empty()) {
    return wrong("--sandbox basic cannot be had here: " + checked.value().failed + "; --sandbox off asks for nothing");
  }
  if (std::any_of(checked.value().missing.begin(), checked.value().missing.end(),
                  [](const std::string& line) { return line.starts_with("scratch:"); })) {
    return wrong("--sandbox basic cannot be had here: " + why_not() + "; name another place with TMPDIR");
  }
  if (!moved.empty()) out.warnings.push_back(moved);
  out.achieved = isolation_of(checked.value().achieved);
  out.summary = std::string(to_string(out.achieved)) + ": " + joined(checked.value().works);
  if (config.groups != nullptr) {
    out.summary += ", control groups (" + joined(cgroup::names(config.groups->controllers())) + ")";
  }
  for (const std::string& missing : checked.value().missing) out.warnings.push_back("sandbox lacks " + missing);
  if (config.run_as) {
    out.warnings.push_back(
        "--run-as " + options.run_as +
        ": all handlers run as this user, so those of one slot can signal "
        "those of another and use up its limit of processes; without the flag each has its own user");
  }
  return out;
}

}  // namespace retire::worker
