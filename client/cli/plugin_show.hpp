// Reports of plugins (plugin_report.hpp) as a person reads them.
#pragma once

#include "client/cli/world.hpp"
#include "common/json/json.hpp"

namespace retire::cli {

void show_plugins(const World& world, const json::Json& plugins);  // a list
void show_plugin(const World& world, const json::Json& plugin);

}  // namespace retire::cli
