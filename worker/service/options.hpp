// What the user told the worker.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/config/common_flags.hpp"
#include "common/config/environment.hpp"
#include "common/config/flags.hpp"
#include "worker/probe/device.hpp"
#include "worker/service/duty_flags.hpp"

namespace retire::worker {

struct Options {
  config::CommonOptions common;
  std::string join;
  std::string test;  // empty: no test
  bool json = false;
  std::string device_id;
  std::string data_dir;
  std::vector<std::string> plugin_dirs;
  std::vector<std::string> plugin_keys;
  std::vector<std::string> resources;  // as given: NAME=N
  std::vector<std::string> allow;
  std::vector<std::string> deny;
  std::vector<std::string> only;
  std::vector<std::string> http_allow;
  double drain_timeout_seconds = 30;
  probe::Overrides overrides;
  DutyOptions duty;

  std::string sandbox = "basic";
  std::string run_as;
  std::vector<std::string> allow_paths;
  double handler_memory_gb = 0;  // 0: an equal share for each slot
  std::uint32_t handler_processes = 256;

  // Validated, without effect yet.
  std::string token;
  std::string token_file;
  bool insecure = false;
};

// The defaults that depend on the surroundings.
Options default_options(const config::Environment& environment);
// `options` must outlive the parse.
void declare_flags(config::Flags& flags, Options& options);

}  // namespace retire::worker
