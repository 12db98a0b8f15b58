#include "common/sensors/system.hpp"

#include <optional>

#include "common/sensors/files.hpp"
#include "common/sensors/program.hpp"

namespace retire::sensors {
namespace {

using Properties = std::map<std::string, std::string, std::less<>>;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  while (!text.empty() && (kBlank.find(text.front()) != kBlank.npos)) text.remove_prefix(1);
  while (!text.empty() && (kBlank.find(text.back()) != kBlank.npos || text.back() == '\0')) text.remove_suffix(1);
  return text;
}

Properties parse_build_prop(std::string_view text) {
  Properties out;
  for (const std::string_view line : lines_of(text)) {
    const std::size_t equals = line.find('=');
    if (line.starts_with('#') || equals == line.npos) continue;
    out.emplace(trimmed(line.substr(0, equals)), trimmed(line.substr(equals + 1)));
  }
  return out;
}

std::string_view value_of(const Properties& properties, std::string_view key) {
  const auto found = properties.find(key);
  return found == properties.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace

Properties parse_getprop(std::string_view text) {
  Properties out;
  constexpr std::string_view kBetween = "]: [";
  for (const std::string_view raw : lines_of(text)) {
    const std::string_view line = trimmed(raw);
    const std::size_t between = line.find(kBetween);
    if (!line.starts_with('[') || !line.ends_with(']') || between == line.npos) continue;
    const std::string_view value = line.substr(between + kBetween.size());
    out.emplace(line.substr(1, between - 1), value.substr(0, value.size() - 1));
  }
  return out;
}

Properties android_properties(const std::filesystem::path& root, Duration timeout) {
  std::error_code ignored;
  if (const std::filesystem::path program = root / "system/bin/getprop"; std::filesystem::exists(program, ignored)) {
    if (const auto text = output_of(program, {}, timeout)) {
      if (Properties found = parse_getprop(*text); !found.empty()) return found;
    }
  }
  const auto text = read_small_file(root / "system/build.prop");
  return text ? parse_build_prop(*text) : Properties();
}

std::string read_machine_model(const std::filesystem::path& root, const Properties& android) {
  const auto joined = [](std::string_view maker, std::string_view model) {
    if (maker.empty() || model.starts_with(maker)) return std::string(model);
    return std::string(maker) + " " + std::string(model);
  };
  if (const std::string_view model = value_of(android, "ro.product.model"); !model.empty()) {
    return joined(value_of(android, "ro.product.manufacturer"), model);
  }
  if (const auto model = read_small_file(root / "sys/class/dmi/id/product_name")) {
    const auto maker = read_small_file(root / "sys/class/dmi/id/sys_vendor");
    return joined(maker ? trimmed(*maker) : std::string_view(), trimmed(*model));
  }
  for (const char* file : {"proc/device-tree/model", "sys/firmware/devicetree/base/model"}) {
    if (const auto text = read_small_file(root / file)) return std::string(trimmed(*text));
  }
  return "";
}

std::string read_cpu_model(const std::filesystem::path& root, const Properties& android) {
  if (const std::string_view model = value_of(android, "ro.soc.model"); !model.empty()) {
    const std::string_view maker = value_of(android, "ro.soc.manufacturer");
    return maker.empty() ? std::string(model) : std::string(maker) + " " + std::string(model);
  }
  // x86 says "model name"; ARM "Hardware" or, on boards, "Model" of the whole board, at the end.
  std::map<std::string, std::string, std::less<>> told;
  if (const auto text = read_small_file(root / "proc/cpuinfo")) {
    for (const std::string_view line : lines_of(*text)) {
      const std::size_t colon = line.find(':');
      if (colon == line.npos) continue;
      told.emplace(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    }
  }
  for (const std::string_view key : {"model name", "Hardware", "Model", "cpu model"}) {
    if (const std::string_view value = value_of(told, key); !value.empty()) return std::string(value);
  }
  if (const std::string_view board = value_of(android, "ro.board.platform"); !board.empty()) return std::string(board);
  return "";
}

}  // namespace retire::sensors
