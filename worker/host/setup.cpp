#include "worker/host/setup.hpp"

#include <cstring>
#include <retire_cluster/payload.hpp>

#include "common/protocol/codec.hpp"
#include "worker/host/wire.hpp"

namespace retire::host {

Setup make_setup(const Capabilities& device, const std::vector<std::string>& http_allow) {
  msgpack::sbuffer settings;
  msgpack::packer<msgpack::sbuffer> out(settings);
  out.pack_map(1);
  out.pack("http_allow");
  out.pack(http_allow);
  return {protocol::encode_capabilities(device), std::string(settings.data(), settings.size())};
}

std::string encode_setup(const Setup& setup) {
  const SetupHeader header{static_cast<std::uint32_t>(setup.device.size()),
                           static_cast<std::uint32_t>(setup.settings.size())};
  std::string body(reinterpret_cast<const char*>(&header), sizeof header);
  return body + setup.device + setup.settings;
}

bool decode_setup(std::string_view body, Setup& out) {
  SetupHeader header;
  if (body.size() < sizeof header) return false;
  std::memcpy(&header, body.data(), sizeof header);
  if (std::uint64_t{header.device_bytes} + header.settings_bytes != body.size() - sizeof header) return false;
  out.device = body.substr(sizeof header, header.device_bytes);
  out.settings = body.substr(sizeof header + header.device_bytes);
  return true;
}

}  // namespace retire::host
