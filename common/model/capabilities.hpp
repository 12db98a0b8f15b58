// What a device is and offers: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "common/model/task.hpp"

namespace retire {

// The capability record of the contract. GB are 2^30 bytes.
struct Capabilities {
  std::string device_id;
  std::string role;
  std::string platform;  // lower case
  std::string arch;
  std::uint32_t cpu_count = 1;
  double memory_total_gb = 0;
  double storage_total_gb = 0;
  bool has_gpu = false;
  bool has_internet = false;
  std::vector<std::string> tags;      // sorted, each once
  std::vector<std::string> handlers;  // task types it offers; sorted, each once
  std::uint32_t slots = 1;            // attempts it runs at once
  std::string version;
  Resources resources;                       // what tasks may reserve
  Isolation isolation = Isolation::Any;      // the sandbox level it achieves; Any: not said
  std::vector<std::string> refused_plugins;  // one line a plugin file that was not loaded
  std::vector<std::string> plugins;          // one line a plugin in use: its identity, as in results, and its file

  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

// Brings into the one form in which equal ones compare equal. Errors: Invalid or TooLarge, naming the key and the
// value.
Status normalize(Capabilities& capabilities);

}  // namespace retire
