// Asks a plugin what it offers without loading it here: a host in probe mode does that, within a time limit.
#pragma once

#include <string>

#include "common/base/time.hpp"
#include "plugins/loader/image.hpp"
#include "worker/host/manifest.hpp"
#include "worker/host/setup.hpp"
#include "worker/sandbox/seats.hpp"

namespace retire::host {

// On a seat of its own, under the same sandbox as its hosts: at Level::Strict that takes a second host, before, which
// reads what the plugin needs. Blocks, at most `timeout`, or until the descriptor `stop`
// becomes readable (-1: none). Threads: any. Errors: PluginRefused, naming the file and why: not a plugin, another ABI,
// it died or it took too long; Io when no process could be started; Busy when it was stopped.
Result<Manifest> probe_plugin(const std::string& program, const PluginImage& image, const Setup& setup,
                              Duration timeout, sandbox::Seats& seats, int stop = -1);

}  // namespace retire::host
