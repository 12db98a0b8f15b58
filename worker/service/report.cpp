#include "worker/service/report.hpp"

#include <fmt/format.h>

namespace retire::worker {
namespace {

std::string listed(const std::vector<std::string>& names) {
  if (names.empty()) return "none";
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<int>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string list_of(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + quoted(text);
  return "[" + out + "]";
}

}  // namespace

// By hand: a record has a dozen known keys, and the JSON library is kept to the folders that need it.
std::string device_json(const Capabilities& device) {
  std::string out = "{\n";
  const auto field = [&out](std::string_view key, const std::string& value) {
    out += fmt::format("{}  \"{}\": {}", out.size() > 2 ? ",\n" : "", key, value);
  };
  const auto boolean = [](bool value) { return std::string(value ? "true" : "false"); };
  field("device_id", quoted(device.device_id));
  field("role", quoted(device.role));
  field("platform", quoted(device.platform));
  field("arch", quoted(device.arch));
  field("cpu_count", std::to_string(device.cpu_count));
  field("memory_total_gb", fmt::format("{}", device.memory_total_gb));
  field("storage_total_gb", fmt::format("{}", device.storage_total_gb));
  field("has_gpu", boolean(device.has_gpu));
  field("has_internet", boolean(device.has_internet));
  field("tags", list_of(device.tags));
  field("handlers", list_of(device.handlers));
  field("slots", std::to_string(device.slots));
  field("version", quoted(device.version));
  if (device.isolation != Isolation::Any) field("isolation", quoted(std::string(to_string(device.isolation))));
  if (!device.plugins.empty()) field("plugins", list_of(device.plugins));
  if (!device.refused_plugins.empty()) field("refused_plugins", list_of(device.refused_plugins));
  return out + "\n}\n";
}

std::string device_text(const Capabilities& device) {
  std::string out;
  const auto line = [&out](std::string_view name, const std::string& value) {
    out += fmt::format("{:<10} {}\n", name, value);
  };
  line("device", device.device_id);
  line("role", device.role);
  line("platform", device.platform + " " + device.arch);
  line("processors", std::to_string(device.cpu_count));
  line("memory", fmt::format("{:.1f} GB", device.memory_total_gb));
  line("storage", fmt::format("{:.1f} GB", device.storage_total_gb));
  line("gpu", device.has_gpu ? "yes" : "no");
  line("internet", device.has_internet ? "yes" : "no");
  line("sandbox", std::string(to_string(device.isolation)));
  line("tags", listed(device.tags));
  line("handlers", listed(device.handlers));
  line("slots", std::to_string(device.slots));
  line("version", device.version);
  for (const std::string& plugin : device.plugins) line("plugin", plugin);
  for (const std::string& refused : device.refused_plugins) line("refused", refused);
  return out;
}

}  // namespace retire::worker
