#include <retire_cluster/plugin.hpp>

#include "handlers/echo/echo.hpp"

RC_PLUGIN("echo", RC_VERSION,
          retire_cluster::handler<retire::handlers::Echo>("echo", "Gives the payload back", 0, "true"));
