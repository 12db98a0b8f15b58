// A host that only says what a plugin offers: loads it, makes each handler once, and ends.
#pragma once

#include <string>

namespace retire::host {

// Writes the manifest, one msgpack value, on `out`; returns the process's exit status. With `setup_from` >= 0 it reads
// what the handlers are told at their making from there, else they are told nothing.
// `image` is a descriptor of its bytes, `file` what it is called.
int probe_plugin_file(const std::string& file, int image, int setup_from, int out);

}  // namespace retire::host
