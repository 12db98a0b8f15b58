#include "handlers/system_info/system_info.hpp"

#include <cmath>
#include <retire_cluster/payload.hpp>
#include <string>
#include <string_view>

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

constexpr double kGigabyte = 1024.0 * 1024 * 1024;

// What is measured now. It takes the place of a field of the same name in the record.
constexpr std::string_view kMeasured[] = {"load_average", "memory_free_gb", "storage_free_gb", "uptime_seconds", "os"};

bool is_measured(const msgpack::object& key) {
  if (key.type != msgpack::type::STR) return false;
  for (const std::string_view name : kMeasured) {
    if (name == std::string_view(key.via.str.ptr, key.via.str.size)) return true;
  }
  return false;
}

// Nothing becomes null: the key is always there.
void pack_gigabytes(msgpack::packer<msgpack::sbuffer>& packer, std::string_view key,
                    const std::optional<double>& bytes) {
  packer.pack(key);
  if (bytes) {
    packer.pack(std::round(*bytes / kGigabyte * 100) / 100);
  } else {
    packer.pack_nil();
  }
}

}  // namespace

SystemInfo::SystemInfo(const rc::Setup& setup) : SystemInfo(setup.device(), SystemPaths()) {}

SystemInfo::SystemInfo(rc::Bytes device, SystemPaths paths)
    : device_bytes_(device.begin(), device.end()), paths_(std::move(paths)) {
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

  packer.pack(kMeasured[0]);
  if (const auto load = read_load(paths_)) {
    packer.pack(*load);
  } else {
    packer.pack_nil();
  }
  pack_gigabytes(packer, kMeasured[1], read_free_memory(paths_));
  pack_gigabytes(packer, kMeasured[2], read_free_storage(paths_));
  packer.pack(kMeasured[3]);
  if (const auto uptime = read_uptime(paths_)) {
    packer.pack(*uptime);
  } else {
    packer.pack_nil();
  }
  const OsInfo os = read_os(paths_);
  packer.pack(kMeasured[4]);
  packer.pack_map(5);
  packer.pack("name").pack(os.name);
  packer.pack("version").pack(os.version);
  packer.pack("kernel").pack(os.kernel);
  packer.pack("arch").pack(os.arch);
  packer.pack("hostname").pack(os.hostname);
  context.result({reinterpret_cast<const std::uint8_t*>(result_.data()), result_.size()});
}

}  // namespace retire::handlers
