// The programs, as functions: main() passes the real world, tests pass strings.
#pragma once

#include <string>
#include <vector>

#include "client/cli/world.hpp"
#include "common/config/exit_status.hpp"

namespace retire::cli {

// `arguments` without the program's name.
config::Exit run_submit(const std::vector<std::string>& arguments, const World& world);
config::Exit run_status(const std::vector<std::string>& arguments, const World& world);
config::Exit run_tool(const std::vector<std::string>& arguments, const World& world);

}  // namespace retire::cli
