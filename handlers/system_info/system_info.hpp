// system_info: the device's capability record, and what it measures now.
#pragma once

#include <map>
#include <msgpack.hpp>
#include <retire_cluster/context.hpp>
#include <string>
#include <vector>

#include "handlers/system_info/measure.hpp"

namespace retire::handlers {

class SystemInfo {
 public:
  // Keeps a copy of the device's record. On Android it asks for the system's properties.
  explicit SystemInfo(const retire_cluster::Setup& setup);
  SystemInfo(retire_cluster::Bytes device, SystemPaths paths);

  void run(const msgpack::object& payload, retire_cluster::Context& context);

 private:
  std::vector<std::uint8_t> device_bytes_;  // device_ points into it
  msgpack::zone zone_;
  msgpack::object device_;
  SystemPaths paths_;
  std::map<std::string, std::string, std::less<>> android_;  // its properties, read once
  msgpack::sbuffer result_;
};

}  // namespace retire::handlers
