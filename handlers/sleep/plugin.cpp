#include <retire_cluster/plugin.hpp>

#include "handlers/sleep/sleep.hpp"

RC_PLUGIN("sleep", RC_VERSION,
          retire_cluster::handler<retire::handlers::Sleep>(
              "sleep", "Waits for a number of seconds", 0,
              R"({"type":"object","required":["duration"],"additionalProperties":false,)"
              R"("properties":{"duration":{"type":"number","minimum":0,"maximum":31622400}}})"));
