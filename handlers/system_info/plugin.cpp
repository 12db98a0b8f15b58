#include <retire_cluster/plugin.hpp>

#include "handlers/system_info/system_info.hpp"

// getprop and termux-battery-status, on Android.
RC_PLUGIN_MANIFEST(R"({"needs": {"subprocess": true}})");

RC_PLUGIN("system_info", RC_VERSION,
          retire_cluster::handler<retire::handlers::SystemInfo>(
              "system_info", "Tells the device's capabilities, load, free memory and storage, uptime and system", 0,
              R"({"type":["object","null"],"additionalProperties":false})"));
