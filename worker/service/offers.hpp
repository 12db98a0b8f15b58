// Which task types this worker offers, from which plugins.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/model/capabilities.hpp"
#include "worker/service/plugin_catalog.hpp"

namespace retire::worker {

struct OfferRules {
  std::vector<std::string> allow;
  std::vector<std::string> deny;
  std::vector<std::string> only;
};

using PluginsByType = std::map<std::string, host::PluginPtr, std::less<>>;

struct Offers {
  PluginsByType plugins;             // by task type
  std::vector<std::string> refused;  // one line for each file, or handler, that is not used
  std::vector<std::string> notes;    // one line for each rule that changes nothing, and each directory that is missing
};

// Whether a type is offered under these rules: not denied, among --only if that is given, and allowed if it is off by
// default.
bool is_offered(const OfferRules& rules, const std::string& type, bool off_by_default);

// Where two files offer a type, the first counts.
Offers find_offers(const PluginCatalog& catalog, const OfferRules& rules);

// The device with these offers in place of what it had. Errors: Configuration.
Result<Capabilities> with_offers(Capabilities device, const Offers& offers);

// What is different, on the log: one line for each plugin that came, was replaced or went, and each new refusal or
// note.
void log_changes(const Offers& before, const Offers& after);

// Types that other code stands behind in `after` than in `before`, and are offered by both.
std::vector<std::string> replaced_types(const PluginsByType& before, const PluginsByType& after);

}  // namespace retire::worker
