// What a plugin file says of itself, as a host in probe mode tells the agent: one msgpack map.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "plugins/loader/loaded_plugin.hpp"
#include "worker/sandbox/policy.hpp"

namespace retire::host {

struct Manifest {
  struct Handler {
    HandlerInfo info;
    std::string refusal;  // why it cannot work here; empty: it can
  };
  std::string name;
  std::string version;
  std::vector<Handler> handlers;
  sandbox::Terms terms{};            // what its hosts are given
  std::vector<std::string> paths{};  // absolute directories that it writes to
};

// {"name", "version", "handlers": [{"name", "description", "payload_schema", "off_by_default", "refusal"}], "network",
//  "subprocess", "limits": [memory, file size, open files, processes, processor seconds; 0: the worker's], "paths":
//  […]}
std::string encode_manifest(const Manifest& manifest);
// {"refused": text}
std::string encode_refusal(std::string_view why);
// Errors: PluginRefused, with the text of the refusal, or because the bytes are no manifest.
Result<Manifest> decode_manifest(std::string_view bytes);

}  // namespace retire::host
