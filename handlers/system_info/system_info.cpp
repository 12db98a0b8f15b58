#include "handlers/system_info/system_info.hpp"

#include <chrono>
#include <cmath>
#include <optional>
#include <retire_cluster/payload.hpp>
#include <string>
#include <string_view>

#include "common/sensors/power.hpp"
#include "common/sensors/system.hpp"
#include "common/sensors/thermal.hpp"
#include "handlers/support/utf8.hpp"

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

constexpr double kGigabyte = 1024.0 * 1024 * 1024;

// What is measured now. It takes the place of a field of the same name in the record.
constexpr std::string_view kMeasured[] = {"load_average", "memory_free_gb", "storage_free_gb", "uptime_seconds",
                                          "os",           "machine_model",  "cpu_model",       "temperature_celsius",
                                          "battery"};
constexpr std::chrono::seconds kProgramTimeout{5};

bool is_measured(const msgpack::object& key) {
  if (key.type != msgpack::type::STR) return false;
  for (const std::string_view name : kMeasured) {
    if (name == std::string_view(key.via.str.ptr, key.via.str.size)) return true;
  }
  return false;
}

using Packer = msgpack::packer<msgpack::sbuffer>;

// What is not told becomes null: the key is always there.
template <class T>
void pack_or_nil(Packer& packer, std::string_view key, const std::optional<T>& value) {
  packer.pack(key);
  if (value) {
    packer.pack(*value);
  } else {
    packer.pack_nil();
  }
}

std::optional<double> gigabytes(std::optional<double> bytes) {
  if (!bytes) return std::nullopt;
  return std::round(*bytes / kGigabyte * 100) / 100;
}

std::optional<std::string> unless_empty(std::string text) {
  if (text.empty()) return std::nullopt;
  return to_utf8(text);
}

void pack_os(Packer& packer, const OsInfo& os) {
  packer.pack("os");
  packer.pack_map(5);
  packer.pack("name").pack(to_utf8(os.name));
  packer.pack("version").pack(to_utf8(os.version));
  packer.pack("kernel").pack(os.kernel);
  packer.pack("arch").pack(os.arch);
  packer.pack("hostname").pack(os.hostname);
}

void pack_battery(Packer& packer, const sensors::Power& power) {
  packer.pack("battery");
  if (!power.told()) {
    packer.pack_nil();
    return;
  }
  packer.pack_map(4);
  pack_or_nil(packer, "percent", power.battery_percent);
  pack_or_nil(packer, "on_battery", power.on_battery);
  pack_or_nil(packer, "charging", power.charging);
  pack_or_nil(packer, "temperature_celsius", power.battery_celsius);
}

}  // namespace

SystemInfo::SystemInfo(const rc::Setup& setup) : SystemInfo(setup.device(), SystemPaths()) {}

SystemInfo::SystemInfo(rc::Bytes device, SystemPaths paths)
    : device_bytes_(device.begin(), device.end()),
      paths_(std::move(paths)),
      android_(sensors::android_properties(paths_.root, kProgramTimeout)) {
  if (!device_bytes_.empty()) device_ = rc::decode(device_bytes_, zone_);
  if (device_.type != msgpack::type::MAP && device_.type != msgpack::type::NIL) {
    throw rc::PayloadError(std::string("the device's record must be a map, got ") + rc::type_name(device_));
  }
}

void SystemInfo::run(const msgpack::object& payload, rc::Context& context) {
  if (payload.type != msgpack::type::NIL) static_cast<void>(rc::Fields(payload, {}));
  result_.clear();
  msgpack::packer<msgpack::sbuffer> packer(result_);

  std::uint32_t kept = 0;
  const std::uint32_t entries = device_.type == msgpack::type::MAP ? device_.via.map.size : 0;
  for (std::uint32_t i = 0; i < entries; ++i) kept += is_measured(device_.via.map.ptr[i].key) ? 0u : 1u;
  packer.pack_map(kept + static_cast<std::uint32_t>(std::size(kMeasured)));
  for (std::uint32_t i = 0; i < entries; ++i) {
    const msgpack::object_kv& entry = device_.via.map.ptr[i];
    if (is_measured(entry.key)) continue;
    packer.pack(entry.key);
    packer.pack(entry.val);
  }

  pack_or_nil(packer, "load_average", read_load(paths_));
  pack_or_nil(packer, "memory_free_gb", gigabytes(read_free_memory(paths_)));
  pack_or_nil(packer, "storage_free_gb", gigabytes(read_free_storage(paths_)));
  pack_or_nil(packer, "uptime_seconds", read_uptime(paths_));
  pack_os(packer, read_os(paths_, android_));
  pack_or_nil(packer, "machine_model", unless_empty(sensors::read_machine_model(paths_.root, android_)));
  pack_or_nil(packer, "cpu_model", unless_empty(sensors::read_cpu_model(paths_.root, android_)));
  pack_or_nil(packer, "temperature_celsius", sensors::read_temperature(paths_.root));
  pack_battery(packer, sensors::ask_power(paths_.root, kProgramTimeout));
  context.result({reinterpret_cast<const std::uint8_t*>(result_.data()), result_.size()});
}

}  // namespace retire::handlers
