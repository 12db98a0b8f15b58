// The verbs of `retire-cluster plugin`: they look at files, and never at main.
#pragma once

#include <string>
#include <vector>

#include "client/cli/session.hpp"
#include "common/config/flags.hpp"

namespace retire::cli {

struct PluginOptions {
  std::vector<std::string> what;         // files, directories, or the name of a new key
  std::vector<std::string> plugin_dirs;  // beside the installed one
  std::vector<std::string> keys;         // files of public keys
  std::string private_key;
};

// Adds "plugin" with its verbs to those of the program.
void declare_plugin(config::Flags& flags, PluginOptions& options);

Exit run_plugin(const std::string& verb, const PluginOptions& options, bool json, const World& world);

}  // namespace retire::cli
