// A plugin that was found sound: the very bytes that hosts load, and what they said of themselves.
#pragma once

#include <memory>

#include "plugins/loader/image.hpp"
#include "worker/host/manifest.hpp"

namespace retire::host {

struct Plugin {
  PluginImage image;
  Manifest manifest;
};

// Alive as long as anybody may start a host of it. Two of one file are two plugins: it was replaced.
using PluginPtr = std::shared_ptr<const Plugin>;

}  // namespace retire::host
