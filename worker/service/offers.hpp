// Which task types this worker offers, from which plugin files.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/base/result.hpp"
#include "worker/host/setup.hpp"
#include "worker/sandbox/seats.hpp"

namespace retire::worker {

struct OfferRules {
  std::vector<std::string> allow;
  std::vector<std::string> deny;
  std::vector<std::string> only;
};

struct Offers {
  std::map<std::string, std::string, std::less<>> files;  // plugin file by task type
  std::vector<std::string> refused;                       // one line for each file, or handler, that is not used
  std::vector<std::string> notes;                         // one line for each rule that changes nothing
};

// Whether a type is offered under these rules: not denied, among --only if that is given, and allowed if it is off by
// default.
bool is_offered(const OfferRules& rules, const std::string& type, bool off_by_default);

// Checks and probes each plugin of `directories`, each in a process of its own; where two offer a type, the first
// counts. Errors: Configuration for a directory that cannot be read, unless it is the last one: the installed one.
Result<Offers> find_offers(const std::string& handler_host, const std::vector<std::filesystem::path>& directories,
                           const OfferRules& rules, const host::Setup& setup, sandbox::Seats& seats);

}  // namespace retire::worker
