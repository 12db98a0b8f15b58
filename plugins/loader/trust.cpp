#include "plugins/loader/trust.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <string>
#include <system_error>

namespace retire {
namespace {

constexpr int kLinksMax = 40;  // as the kernel

Error refused(const std::filesystem::path& part, const std::string& why) {
  return Error{ErrorCode::PluginRefused, part.string() + ": " + why};
}

// Some systems give each user a group of their own and a umask of 002; write access for that group adds nobody.
bool is_own_private_group(gid_t group) {
  const uid_t me = geteuid();
  if (me == 0) return false;  // root has no need of it
  std::array<char, 4096> user_text{};
  std::array<char, 4096> group_text{};
  passwd user{};
  passwd* user_found = nullptr;
  struct group entry {};
  struct group* entry_found = nullptr;
  if (getpwuid_r(me, &user, user_text.data(), user_text.size(), &user_found) != 0 || user_found == nullptr)
    return false;
  if (getgrgid_r(group, &entry, group_text.data(), group_text.size(), &entry_found) != 0 || entry_found == nullptr) {
    return false;
  }
  if (user.pw_gid != group || std::strcmp(user.pw_name, entry.gr_name) != 0) return false;
  for (char** member = entry.gr_mem; *member != nullptr; ++member) {
    if (std::strcmp(*member, user.pw_name) != 0) return false;
  }
  return true;
}

Status check_owner(const std::filesystem::path& part, const struct stat& info) {
  if (info.st_uid == 0 || info.st_uid == geteuid()) return ok_status();
  return refused(part, "owned by user " + std::to_string(info.st_uid) + ", neither root nor the worker's user");
}

Status check_writers(const std::filesystem::path& part, const struct stat& info) {
  const bool is_sticky_directory = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  if (is_sticky_directory) return ok_status();
  if ((info.st_mode & S_IWOTH) != 0) return refused(part, "writable by everybody (chmod o-w)");
  const bool group_is_us = info.st_uid == geteuid() && is_own_private_group(info.st_gid);
  if ((info.st_mode & S_IWGRP) != 0 && !group_is_us) return refused(part, "writable by its group (chmod g-w)");
  return ok_status();
}

Result<std::filesystem::path> read_link(const std::filesystem::path& link) {
  std::error_code failed;
  std::filesystem::path target = std::filesystem::read_symlink(link, failed);
  if (failed) return refused(link, "cannot be read: " + failed.message());
  return target;
}

// check_trusted(); `info` is that of the file at the end.
Status walk(const std::filesystem::path& file, struct stat& info) {
  std::error_code failed;
  const std::filesystem::path absolute = std::filesystem::absolute(file, failed);
  if (failed) return refused(file, "cannot be resolved: " + failed.message());

  // `at` holds no link and is trusted; `pending` is what is still to be walked from there.
  std::filesystem::path at = "/";
  std::deque<std::filesystem::path> pending{"."};
  for (const auto& part : absolute.relative_path()) pending.push_back(part);
  int links = 0;
  while (!pending.empty()) {
    const std::filesystem::path part = std::move(pending.front());
    pending.pop_front();
    if (part == "..") {  // `at` has no links, so its parent is the one that the kernel would take
      at = at.parent_path();
      if (lstat(at.c_str(), &info) != 0) return refused(at, std::strerror(errno));
      continue;
    }
    const std::filesystem::path next = part == "." || part.empty() ? at : at / part;
    if (lstat(next.c_str(), &info) != 0) {
      const int reason = errno;
      const ErrorCode code = reason == ENOENT ? ErrorCode::PluginNotFound : ErrorCode::PluginRefused;
      return Error{code, next.string() + ": " + std::strerror(reason)};
    }
    if (Status owner = check_owner(next, info); !owner.ok()) return owner;
    if (S_ISLNK(info.st_mode)) {
      if (++links > kLinksMax) return refused(file, "too many symbolic links");
      Result<std::filesystem::path> target = read_link(next);
      if (!target.ok()) return target.error();
      if (target.value().is_absolute()) at = "/";
      const std::filesystem::path rest = target.value().relative_path();
      pending.insert(pending.begin(), rest.begin(), rest.end());
      continue;
    }
    if (Status writers = check_writers(next, info); !writers.ok()) return writers;
    at = next;
  }
  if (!S_ISREG(info.st_mode)) return refused(file, "not a regular file");
  return ok_status();
}

}  // namespace

Status check_trusted(const std::filesystem::path& file) {
  struct stat info {};
  return walk(file, info);
}

Status check_trusted_open(const std::filesystem::path& file, int descriptor) {
  struct stat opened {};
  if (fstat(descriptor, &opened) != 0) return refused(file, std::strerror(errno));
  if (!S_ISREG(opened.st_mode)) return refused(file, "not a regular file");
  if (Status owner = check_owner(file, opened); !owner.ok()) return owner;
  if (Status writers = check_writers(file, opened); !writers.ok()) return writers;
  struct stat named {};
  if (Status trusted = walk(file, named); !trusted.ok()) return trusted;
  if (named.st_dev == opened.st_dev && named.st_ino == opened.st_ino) return ok_status();
  return Error{ErrorCode::Busy, file.string() + ": was replaced while it was opened"};
}

Status check_trusted_in(const std::filesystem::path& directory, const std::filesystem::path& file) {
  if (Status trusted = check_trusted(file); !trusted.ok()) return trusted;
  std::error_code failed;
  const std::filesystem::path real = std::filesystem::canonical(file, failed);
  if (failed) return Error{ErrorCode::PluginNotFound, file.string() + ": " + failed.message()};
  const std::filesystem::path within = std::filesystem::canonical(directory, failed);
  if (failed) return Error{ErrorCode::PluginNotFound, directory.string() + ": " + failed.message()};
  const auto [end_of_directory, ignored] = std::mismatch(within.begin(), within.end(), real.begin(), real.end());
  if (end_of_directory == within.end()) return ok_status();
  return refused(file, "leads out of its directory, to " + real.string() + "; copy it instead");
}

}  // namespace retire
