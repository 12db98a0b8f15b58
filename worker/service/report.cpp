#include "worker/service/report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "common/json/json.hpp"
#include "common/protocol/codec.hpp"

namespace retire::worker {
namespace {

std::string listed(const std::vector<std::string>& names) {
  if (names.empty()) return "none";
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

std::string device_json(const Capabilities& device) {
  const Result<json::Json> document = json::json_from_msgpack(protocol::encode_capabilities(device));
  return (document.ok() ? json::to_pretty_text(document.value()) : "{}") + "\n";
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
  line("tags", listed(device.tags));
  line("handlers", listed(device.handlers));
  line("slots", std::to_string(device.slots));
  line("version", device.version);
  for (const std::string& refused : device.refused_plugins) line("refused", refused);
  return out;
}

}  // namespace retire::worker
