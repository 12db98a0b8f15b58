// Is there a way to the internet? Told from the routes alone: nothing is sent to anybody.
#pragma once

#include <filesystem>

namespace retire::probe {

// Whether a default route exists, for IPv4 or IPv6, through an interface other than loopback.
bool probe_internet(const std::filesystem::path& root);

}  // namespace retire::probe
