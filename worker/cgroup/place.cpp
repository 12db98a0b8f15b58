#include "worker/cgroup/place.hpp"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "common/sensors/files.hpp"

namespace retire::cgroup {
namespace {

namespace fs = std::filesystem;
using sensors::lines_of;
using sensors::read_small_file;
using sensors::words_of;

Error none(std::string why) { return {ErrorCode::Configuration, std::move(why)}; }

struct Mount {
  std::string root;  // which group it shows
  std::string point;
  bool writable = false;
};

// mountinfo writes what would break its lines as "\040".
std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '\\' && i + 3 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr == text.data() + i + 4) {
      out += static_cast<char>(code);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool has_option(std::string_view options, std::string_view wanted) {
  return ("," + std::string(options) + ",").find("," + std::string(wanted) + ",") != std::string::npos;
}

// "41 31 0:38 ROOT POINT rw,relatime … - cgroup2 cgroup2 rw"
std::vector<Mount> mounts_of(std::string_view text) {
  std::vector<Mount> out;
  for (const std::string_view line : lines_of(text)) {
    const auto words = words_of(line);
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4 || dash[1] != "cgroup2") continue;
    out.push_back({unescaped(words[3]), unescaped(words[4]), has_option(words[5], "rw") && has_option(dash[3], "rw")});
  }
  return out;
}

// The line "0::/path" of /proc/self/cgroup.
std::optional<std::string> own_group(std::string_view text) {
  for (const std::string_view line : lines_of(text)) {
    if (line.starts_with("0::/")) return std::string(line.substr(3));
  }
  return std::nullopt;
}

std::vector<std::string> parts_of(const std::string& group) {
  std::vector<std::string> out;
  for (const auto& part : fs::path(group).relative_path()) {
    if (!part.empty()) out.push_back(part);
  }
  return out;
}

bool is_unit(std::string_view name) {
  return name.ends_with(".service") || name.ends_with(".scope") || name.ends_with(".slice");
}

std::string path_of(const std::vector<std::string>& parts, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += "/" + parts[i];
  return out.empty() ? "/" : out;
}

bool owns(const fs::path& path, uid_t user, mode_t bits) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && info.st_uid == user && (info.st_mode & bits) == bits;
}

bool owns_group(const fs::path& group, uid_t user) {
  // The top of a machine's hierarchy is nobody's to write to, by its mode, and root's all the same.
  const mode_t to_make_in = user == 0 ? 0 : S_IWUSR | S_IXUSR;
  return owns(group, user, to_make_in) && owns(group / "cgroup.procs", user, S_IWUSR) &&
         owns(group / "cgroup.subtree_control", user, S_IWUSR);
}

// How the groups that the worker can see are named, from the top to its own, and where they lie.
struct View {
  std::vector<std::string> parts;
  std::size_t hidden = 0;  // so many of them lie above what is mounted
  fs::path mounted;
  fs::path directory(std::size_t count) const {
    fs::path out = mounted;
    for (std::size_t i = hidden; i < count; ++i) out /= parts[i];
    return out;
  }
};

Result<View> find_view(const Surroundings& around) {
  const auto groups = read_small_file(around.root / "proc/self/cgroup");
  const std::optional<std::string> own = groups ? own_group(*groups) : std::nullopt;
  if (!own) return none("the kernel has none of version 2");
  if (own->starts_with("/..")) return none("the worker's lies outside of what it can see");
  if (own->ends_with(" (deleted)")) return none("the worker's has been removed");
  View view;
  view.parts = parts_of(*own);
  const auto mounted = read_small_file(around.root / "proc/self/mountinfo");
  bool any = false;
  for (const Mount& mount : mounts_of(mounted.value_or(""))) {
    const std::vector<std::string> root = parts_of(mount.root);
    if (root.size() > view.parts.size() || !std::equal(root.begin(), root.end(), view.parts.begin())) continue;
    any = true;
    if (!mount.writable) continue;
    view.hidden = root.size();
    view.mounted = around.root / fs::path(mount.point).relative_path();
    return view;
  }
  return none(any ? "cgroup2 is mounted read-only here" : "no cgroup2 with the worker's group is mounted");
}

bool is_marked(const Surroundings& around, const fs::path& group) {
  for (const char* name : {"trusted.delegate", "user.delegate"}) {
    if (around.attribute && around.attribute(group, name) == "1") return true;
  }
  return false;
}

// How many parts the name of the group has that is ours.
Result<std::size_t> find_given(const Surroundings& around, const View& view) {
  const auto& parts = view.parts;
  std::size_t unit = parts.size();  // with so many parts the name is that of the unit that the worker is in; 0: none
  while (unit > 0 && !is_unit(parts[unit - 1])) --unit;
  const bool managed_by_user = unit > 0 && std::any_of(parts.begin(), parts.begin() + static_cast<long>(unit) - 1,
                                                       [](const auto& part) { return part.starts_with("user@"); });
  for (std::size_t count = parts.size(); count >= std::max({unit, view.hidden, std::size_t{1}}); --count) {
    if (is_marked(around, view.directory(count))) return count;
  }
  const std::string own = path_of(parts, parts.size());
  if (unit > 0) {
    // Only a group that it delegates is given to another user by the system's systemd; a user's own is always theirs.
    if (around.user != 0 && !managed_by_user && unit >= view.hidden && owns_group(view.directory(unit), around.user)) {
      return unit;
    }
    return none(path_of(parts, unit) + " is a unit of systemd, which has not delegated it (Delegate=yes)");
  }
  if (around.user != 0) {
    if (owns_group(view.directory(parts.size()), around.user)) return parts.size();
    return none(own + " does not belong to the worker's user");
  }
  if (!parts.empty()) {
    return none(own + " is not marked as given to the worker (setfattr -n user.delegate -v 1 marks it)");
  }
  if (fs::exists(around.root / "run/systemd/system")) return none("the top of them belongs to systemd");
  if (!owns_group(view.mounted, around.user)) return none("the top of them does not belong to the worker's user");
  return std::size_t{0};
}

std::string first_line(const fs::path& file) {
  const std::string text = read_small_file(file).value_or("");
  return text.substr(0, text.find('\n'));
}

// Who beside the worker is in a group itself. Those of other process namespaces show as 0.
std::vector<std::string> others_in(const fs::path& group, pid_t self) {
  std::vector<std::string> out;
  for (const std::string_view line : lines_of(read_small_file(group / "cgroup.procs").value_or(""))) {
    if (!line.empty() && line != std::to_string(self)) out.emplace_back(line);
  }
  return out;
}

}  // namespace

Surroundings surroundings() {
  return {"/", geteuid(), getpid(), [](const fs::path& directory, const std::string& name) {
            std::array<char, 64> value{};
            const ssize_t size = getxattr(directory.c_str(), name.c_str(), value.data(), value.size());
            return size < 0 ? std::string() : std::string(value.data(), static_cast<std::size_t>(size));
          }};
}

Result<Place> find_place(const Surroundings& around) {
  const Result<View> seen = find_view(around);
  if (!seen.ok()) return seen.error();
  const View& view = seen.value();
  const Result<std::size_t> given = find_given(around, view);
  if (!given.ok()) return given.error();

  Place out;
  out.directory = view.directory(given.value());
  const std::string name = path_of(view.parts, given.value());
  std::error_code failed;
  out.is_top = given.value() == 0 && !fs::exists(out.directory / "cgroup.events", failed);
  const std::string type = first_line(out.directory / "cgroup.type");
  if (!type.empty() && type != "domain") {
    return none(name + " is of type " + type + ", in which processes cannot be limited");
  }
  out.controllers = parse_controllers(read_small_file(out.directory / "cgroup.controllers").value_or(""));
  if (!out.controllers.any()) return none(name + " has neither the controller memory nor pids");
  if (out.is_top) return out;
  out.inside = given.value() == view.parts.size();
  if (const auto others = others_in(out.directory, around.self); !others.empty()) {
    return none("other processes than the worker are in " + name + " (" + std::to_string(others.size()) +
                ", the first is " + others.front() + "); give the worker a group of its own");
  }
  return out;
}

}  // namespace retire::cgroup
