// retire-cluster-worker: joins main and runs tasks in handler processes.
#include <iostream>

#include "common/logging/logging.hpp"
#include "worker/service/options.hpp"
#include "worker/service/run.hpp"

int main(int argc, char** argv) {
  using namespace retire;
  const config::Environment environment = config::process_environment();
  worker::Options options = worker::default_options(environment);
  config::Flags flags("retire-cluster-worker", "Joins a cluster and runs tasks.");
  worker::declare_flags(flags, options);
  const Result<config::Parsed> parsed = flags.parse(argc, argv, environment);
  if (const auto status = config::ends_here(parsed, "retire-cluster-worker", std::cout, std::cerr)) return *status;

  logging::start({.program = "retire-cluster-worker",
                  .level = *logging::parse_level(options.common.log_level),
                  .json = options.common.log_format == "json"});
  for (const std::string& notice : parsed.value().notices) logging::info("{}", notice);
  return static_cast<int>(worker::run(options, parsed.value()));
}
