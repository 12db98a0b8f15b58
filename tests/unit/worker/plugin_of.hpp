// A plugin for hosts, straight from its file.
#pragma once

#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "worker/host/plugin.hpp"

namespace retire::host {

// The same one for each file, as long as the process lives.
inline PluginPtr plugin_of(const std::string& file) {
  static std::map<std::string, PluginPtr> known;
  PluginPtr& plugin = known[file];
  if (!plugin) {
    Result<PluginImage> image = PluginImage::read(file);
    if (!image.ok()) throw std::runtime_error(image.error().detail);
    plugin = std::make_shared<const Plugin>(Plugin{std::move(image).value(), {}});
  }
  return plugin;
}

}  // namespace retire::host
