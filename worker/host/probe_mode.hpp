// Hosts that only say what a plugin offers, and end.
#pragma once

#include <string>

#include "worker/sandbox/policy.hpp"

namespace retire::host {

// Loads the plugin and makes each handler once. Writes the manifest, one msgpack value, on `out`; returns the process's
// exit status. With `setup_from` >= 0 it reads what the handlers are told at their making from there, else they are
// told nothing. `image` is a descriptor of its bytes, `file` what it is called, `policy` what this process is held to.
int probe_plugin_file(const std::string& file, int image, int setup_from, int out, const sandbox::Policy& policy = {});

// Runs none of its code: writes a manifest that has no more than what its hosts are to be given.
int read_plugin_terms(const std::string& file, int image, int out);

}  // namespace retire::host
