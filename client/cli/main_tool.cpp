#include "client/cli/programs.hpp"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return static_cast<int>(retire::cli::run_tool(arguments, retire::cli::process_world()));
}
