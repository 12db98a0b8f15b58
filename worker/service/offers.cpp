#include "worker/service/offers.hpp"

#include <algorithm>
#include <chrono>
#include <set>

#include "common/model/limits.hpp"
#include "plugins/loader/scan.hpp"
#include "plugins/loader/trust.hpp"
#include "worker/host/plugin_prober.hpp"

namespace retire::worker {
namespace {

constexpr Duration kProbeTimeout = std::chrono::seconds(10);

bool among(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void add_plugin(const std::string& file, const host::Manifest& manifest, const OfferRules& rules, Offers& offers,
                std::set<std::string>& seen) {
  for (const host::Manifest::Handler& handler : manifest.handlers) {
    const std::string& type = handler.info.name;
    if (const auto other = offers.files.find(type); other != offers.files.end()) {
      offers.refused.push_back(file + ": its handler " + type + " is not used, " + other->second + " has one too");
      continue;
    }
    seen.insert(type);
    if (!is_offered(rules, type, handler.info.off_by_default)) {
      if (among(rules.only, type) && !among(rules.deny, type)) {
        offers.notes.push_back("--only " + type + ": it is off by default and needs --allow " + type + " too");
      }
      continue;
    }
    if (!handler.refusal.empty()) {
      offers.refused.push_back(file + ": its handler " + type + " cannot work here: " + handler.refusal);
      continue;
    }
    if (offers.files.size() >= kTagsMax) {
      offers.refused.push_back(file + ": its handler " + type + " is not used, there are 1024 already");
      continue;
    }
    offers.files.emplace(type, file);
  }
}

}  // namespace

bool is_offered(const OfferRules& rules, const std::string& type, bool off_by_default) {
  if (among(rules.deny, type)) return false;
  if (!rules.only.empty() && !among(rules.only, type)) return false;
  return !off_by_default || among(rules.allow, type);
}

Result<Offers> find_offers(const std::string& handler_host, const std::vector<std::filesystem::path>& directories,
                           const OfferRules& rules, const host::Setup& setup, sandbox::Seats& seats) {
  Offers offers;
  std::set<std::string> seen;
  for (const std::filesystem::path& directory : directories) {
    const Result<std::vector<std::filesystem::path>> files = scan_plugins(directory);
    if (!files.ok()) {
      if (&directory != &directories.back()) {
        return Error{ErrorCode::Configuration, "--plugin-dir " + files.error().detail};
      }
      offers.notes.push_back("no installed plugins: " + files.error().detail);
      continue;
    }
    for (const std::filesystem::path& file : files.value()) {
      if (const Status trusted = check_trusted(file); !trusted.ok()) {
        offers.refused.push_back(file.string() + " is refused: " + trusted.error().detail);
        continue;
      }
      const Result<host::Manifest> manifest = host::probe_plugin(handler_host, file, setup, kProbeTimeout, seats);
      if (manifest.ok()) {
        add_plugin(file, manifest.value(), rules, offers, seen);
      } else {
        offers.refused.push_back(manifest.error().detail);
      }
    }
  }
  for (const auto& [flag, names] :
       {std::pair{"--allow ", &rules.allow}, std::pair{"--deny ", &rules.deny}, std::pair{"--only ", &rules.only}}) {
    for (const std::string& name : *names) {
      if (!seen.contains(name)) offers.notes.push_back(flag + name + ": no plugin here has such a handler");
    }
  }
  return offers;
}

}  // namespace retire::worker
