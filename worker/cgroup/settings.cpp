#include "worker/cgroup/settings.hpp"

#include <charconv>

#include "common/sensors/files.hpp"

namespace retire::cgroup {

using sensors::lines_of;
using sensors::words_of;

Controllers parse_controllers(std::string_view text) {
  Controllers out;
  for (const std::string_view line : lines_of(text)) {
    for (const std::string_view word : words_of(line)) {
      out.memory |= word == "memory";
      out.pids |= word == "pids";
    }
  }
  return out;
}

std::vector<std::string> names(const Controllers& controllers) {
  std::vector<std::string> out;
  if (controllers.memory) out.emplace_back("memory");
  if (controllers.pids) out.emplace_back("pids");
  return out;
}

std::vector<Setting> settings_for(const Limits& limits, const Controllers& controllers) {
  std::vector<Setting> out;
  if (controllers.memory && limits.memory_bytes > 0) {
    out.push_back({"memory.max", std::to_string(limits.memory_bytes)});
    // Else what is over the limit would go to the disk and the handler be slow for ever. Not there without swap.
    out.push_back({"memory.swap.max", "0", false});
    // All of the host dies, and not one process of a handler that then waits for it for ever.
    out.push_back({"memory.oom.group", "1", false});
  }
  if (controllers.pids && limits.processes > 0) out.push_back({"pids.max", std::to_string(limits.processes)});
  return out;
}

std::uint64_t count_of(std::string_view text, std::string_view key) {
  for (const std::string_view line : lines_of(text)) {
    const auto words = words_of(line);
    if (words.size() != 2 || words[0] != key) continue;
    std::uint64_t count = 0;
    std::from_chars(words[1].data(), words[1].data() + words[1].size(), count);
    return count;
  }
  return 0;
}

}  // namespace retire::cgroup
