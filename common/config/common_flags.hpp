// The flags that every program takes.
#pragma once

#include <string>

#include "common/config/flags.hpp"

namespace retire::config {

struct CommonOptions {
  std::string config_file;          // empty: none
  std::string log_level = "info";   // trace, debug, info, warn, error; --debug is in it already after parse()
  std::string log_format = "text";  // text, json
  bool debug = false;               // --debug as given; read log_level instead
  double connect_timeout_seconds = 5;
};

// --config, --log-level, --debug, --log-format, --connect-timeout (--help and --version are part of Flags). `options`
// must outlive the parse; a program may change its defaults before this call.
void add_common_flags(Flags& flags, CommonOptions& options);

}  // namespace retire::config
