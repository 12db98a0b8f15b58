#include "common/config/common_flags.hpp"

namespace retire::config {

void add_common_flags(Flags& flags, CommonOptions& options) {
  flags.begin_common();
  flags.add("config", options.config_file, "read settings from this TOML file; each flag is a key there")
      .value_name("FILE");
  flags.add("log-level", options.log_level, "least severe message to log")
      .value_name("LEVEL")
      .one_of({"trace", "debug", "info", "warn", "error"});
  flags.add("debug", options.debug, "short for --log-level debug");
  flags.add("log-format", options.log_format, "how log lines look").value_name("FORMAT").one_of({"text", "json"});
  flags.add("connect-timeout", options.connect_timeout_seconds, "how long to try to reach main")
      .value_name("SECONDS")
      .range(0.001, 86'400);
  flags.end_common();
  flags.after([&options](const Parsed& parsed) {
    if (options.debug && parsed.source("debug") >= parsed.source("log-level")) options.log_level = "debug";
    return ok_status();
  });
}

}  // namespace retire::config
