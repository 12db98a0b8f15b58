#include "worker/probe/network.hpp"

#include <charconv>

#include "common/sensors/files.hpp"

namespace retire::probe {
namespace {

using sensors::lines_of;
using sensors::read_small_file;
using sensors::words_of;

constexpr unsigned kRouteUp = 0x1;
constexpr unsigned kRouteReject = 0x200;

unsigned hex(std::string_view text) {
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

bool usable(std::string_view flags) { return (hex(flags) & kRouteUp) != 0 && (hex(flags) & kRouteReject) == 0; }

}  // namespace

bool probe_internet(const std::filesystem::path& root) {
  if (const auto routes = read_small_file(root / "proc/net/route")) {
    for (const std::string_view line : lines_of(*routes)) {  // Iface Destination Gateway Flags RefCnt Use Metric Mask …
      const auto words = words_of(line);
      if (words.size() >= 8 && words[0] != "lo" && words[1] == "00000000" && words[7] == "00000000" &&
          usable(words[3])) {
        return true;
      }
    }
  }
  if (const auto routes = read_small_file(root / "proc/net/ipv6_route")) {
    constexpr std::string_view kAny = "00000000000000000000000000000000";
    for (const std::string_view line : lines_of(*routes)) {  // dest length source length hop metric ref use flags iface
      const auto words = words_of(line);
      if (words.size() == 10 && words[0] == kAny && words[1] == "00" && words[9] != "lo" && usable(words[8]))
        return true;
    }
  }
  return false;
}

}  // namespace retire::probe
