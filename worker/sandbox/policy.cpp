#include "worker/sandbox/policy.hpp"

#include <algorithm>
#include <cstring>

namespace retire::sandbox {
namespace {

struct Fixed {
  Limits limits;
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::uint32_t writable = 0;
  Level level = Level::Off;
  bool own_user = false;
  bool filter = false;
  bool in_group = false;
  bool network = false;
  bool subprocess = false;
};

void append(std::string& out, const std::string& text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out += text;
}

bool take(std::string_view& from, std::string& out) {
  std::uint32_t size = 0;
  if (from.size() < sizeof size) return false;
  std::memcpy(&size, from.data(), sizeof size);
  from.remove_prefix(sizeof size);
  if (from.size() < size) return false;
  out = from.substr(0, size);
  from.remove_prefix(size);
  return true;
}

}  // namespace

Limits tighter(const Limits& one, const Limits& other) {
  const auto least = [](std::uint64_t a, std::uint64_t b) { return a == 0 ? b : b == 0 ? a : std::min(a, b); };
  return {least(one.memory_bytes, other.memory_bytes), least(one.file_bytes, other.file_bytes),
          least(one.open_files, other.open_files), least(one.processes, other.processes),
          least(one.cpu_seconds, other.cpu_seconds)};
}

std::string encode(const Policy& policy) {
  const Fixed fixed{policy.limits,  policy.user,      policy.group,  static_cast<std::uint32_t>(policy.writable.size()),
                    policy.level,   policy.own_user,  policy.filter, policy.in_group,
                    policy.network, policy.subprocess};
  std::string out(reinterpret_cast<const char*>(&fixed), sizeof fixed);
  append(out, policy.scratch);
  for (const std::string& path : policy.writable) append(out, path);
  return out;
}

bool decode(std::string_view bytes, Policy& out) {
  Fixed fixed;
  if (bytes.size() < sizeof fixed) return false;
  std::memcpy(&fixed, bytes.data(), sizeof fixed);
  bytes.remove_prefix(sizeof fixed);
  out = {fixed.level,      fixed.user, fixed.group, fixed.own_user, fixed.filter, fixed.in_group, fixed.network,
         fixed.subprocess, {},         {},          fixed.limits};
  if (!take(bytes, out.scratch)) return false;
  for (std::uint32_t i = 0; i < fixed.writable; ++i) {
    if (!take(bytes, out.writable.emplace_back())) return false;
  }
  return bytes.empty();
}

}  // namespace retire::sandbox
