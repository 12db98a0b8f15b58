// A plugin that was found sound: the very bytes that hosts load, and what they said of themselves.
#pragma once

#include <memory>
#include <string>

#include "plugins/loader/image.hpp"
#include "worker/host/manifest.hpp"

namespace retire::host {

struct Plugin {
  PluginImage image;
  Manifest manifest;
  std::string identity = identity_of(manifest, image);  // for results and the device's record

  // "NAME VERSION sha256:HEX": at most 256 bytes, UTF-8, no control characters; the hash is what comes last.
  static std::string identity_of(const Manifest& manifest, const PluginImage& image);
};

// Alive as long as anybody may start a host of it. Two of one file are two plugins: it was replaced.
using PluginPtr = std::shared_ptr<const Plugin>;

}  // namespace retire::host
