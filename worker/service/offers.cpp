#include "worker/service/offers.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "common/logging/logging.hpp"
#include "common/model/limits.hpp"
#include "worker/host/text.hpp"

namespace retire::worker {
namespace {

bool among(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void add_plugin(const host::PluginPtr& plugin, const OfferRules& rules, Offers& offers, std::set<std::string>& seen) {
  const std::string& file = plugin->image.file();
  for (const host::Manifest::Handler& handler : plugin->manifest.handlers) {
    const std::string& type = handler.info.name;
    if (const auto other = offers.plugins.find(type); other != offers.plugins.end()) {
      offers.refused.push_back(file + ": its handler " + type + " is not used, " + other->second->image.file() +
                               " has one too");
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
    if (offers.plugins.size() >= kTagsMax) {
      offers.refused.push_back(file + ": its handler " + type + " is not used, there are 1024 already");
      continue;
    }
    offers.plugins.emplace(type, plugin);
  }
}

}  // namespace

bool is_offered(const OfferRules& rules, const std::string& type, bool off_by_default) {
  if (among(rules.deny, type)) return false;
  if (!rules.only.empty() && !among(rules.only, type)) return false;
  return !off_by_default || among(rules.allow, type);
}

Offers find_offers(const PluginCatalog& catalog, const OfferRules& rules) {
  Offers offers;
  std::set<std::string> seen;
  for (const PluginFile& file : catalog.files()) {
    if (!file.refusal.empty()) offers.refused.push_back(file.refusal);
    if (file.plugin) add_plugin(file.plugin, rules, offers, seen);
  }
  offers.notes.insert(offers.notes.end(), catalog.notes().begin(), catalog.notes().end());
  for (const auto& [flag, names] :
       {std::pair{"--allow ", &rules.allow}, std::pair{"--deny ", &rules.deny}, std::pair{"--only ", &rules.only}}) {
    for (const std::string& name : *names) {
      if (!seen.contains(name)) offers.notes.push_back(flag + name + ": no plugin here has such a handler");
    }
  }
  return offers;
}

Result<Capabilities> with_offers(Capabilities device, const Offers& offers) {
  device.handlers.clear();
  device.refused_plugins.clear();
  device.plugins.clear();
  for (const auto& [type, plugin] : offers.plugins) device.handlers.push_back(type);
  const std::size_t refused = std::min(offers.refused.size(), kRefusedPluginsMax);
  for (std::size_t i = 0; i < refused; ++i) {
    device.refused_plugins.push_back(host::clean_text(offers.refused[i], kErrorMessageBytesMax));
  }
  std::set<std::string> used;
  for (const auto& [type, plugin] : offers.plugins) used.insert(plugin->identity + " " + plugin->image.file());
  for (const std::string& line : used) {
    if (device.plugins.size() == kPluginsListedMax) break;
    device.plugins.push_back(host::clean_text(line, kErrorMessageBytesMax));
  }
  if (const Status status = normalize(device); !status.ok()) {
    return Error{ErrorCode::Configuration, status.error().detail};
  }
  return device;
}

namespace {

// The types of each plugin, by its file.
std::map<std::string, std::pair<host::PluginPtr, std::string>> by_file(const PluginsByType& plugins) {
  std::map<std::string, std::pair<host::PluginPtr, std::string>> out;
  for (const auto& [type, plugin] : plugins) {
    auto& [known, types] = out[plugin->image.file()];
    known = plugin;
    types += (types.empty() ? "" : " ") + type;
  }
  return out;
}

void warn_of_new(const std::vector<std::string>& before, const std::vector<std::string>& after) {
  for (const std::string& line : after) {
    if (!among(before, line)) logging::warn("{}", line);
  }
}

}  // namespace

void log_changes(const Offers& before, const Offers& after) {
  const auto old_files = by_file(before.plugins);
  const auto new_files = by_file(after.plugins);
  for (const auto& [file, of] : new_files) {
    const auto& [plugin, types] = of;
    const auto old = old_files.find(file);
    if (old != old_files.end() && old->second == of) continue;
    const bool is_new = old == old_files.end();
    const bool other_code = !is_new && old->second.first != plugin;
    logging::info("plugin {} {}: {} {} sha256={} types: {}", file,
                  is_new       ? "is offered"
                  : other_code ? "is replaced"
                               : "offers others",
                  plugin->manifest.name, plugin->manifest.version, plugin->image.hash(), types);
  }
  for (const auto& [file, of] : old_files) {
    if (!new_files.contains(file)) logging::info("plugin {} is withdrawn with its types: {}", file, of.second);
  }
  warn_of_new(before.refused, after.refused);
  warn_of_new(before.notes, after.notes);
}

std::vector<std::string> replaced_types(const PluginsByType& before, const PluginsByType& after) {
  std::vector<std::string> out;
  for (const auto& [type, plugin] : after) {
    const auto old = before.find(type);
    if (old != before.end() && old->second != plugin) out.push_back(type);
  }
  return out;
}

}  // namespace retire::worker
