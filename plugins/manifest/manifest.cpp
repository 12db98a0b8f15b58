#include "plugins/manifest/manifest.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/json/json.hpp"
#include "common/model/task.hpp"
#include "plugins/manifest/schema.hpp"

namespace retire {
namespace {

using json::Json;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::size_t kTextBytesMax = 128;   // name, version
constexpr std::size_t kPathBytesMax = 4096;  // as the kernel

struct Wrong {
  std::string why;
};

std::string shown(const Json& value) {
  constexpr std::size_t kShownMax = 80;
  std::string text = json::to_text(value);
  if (text.size() > kShownMax) {
    std::size_t size = kShownMax;
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xc0u) == 0x80) --size;
    text = text.substr(0, size) + "…";
  }
  return text;
}

[[noreturn]] void refuse(const std::string& at, const Json& value, const std::string& rule) {
  throw Wrong{at + ' ' + rule + ", and is " + shown(value)};
}

// Each key of `map` must be one of `known`.
void only_known(const Json& map, const std::string& at, std::initializer_list<const char*> known) {
  if (!map.is_object()) refuse(at.empty() ? "as a whole" : at, map, "must be an object");
  for (const auto& [key, value] : map.items()) {
    if (std::any_of(known.begin(), known.end(), [&wanted = key](const char* one) { return wanted == one; })) continue;
    std::string why = (at.empty() ? "as a whole" : at) + ": the key " + shown(key) + " is not known; known are";
    for (const char* one : known) why.append(one == *known.begin() ? " " : ", ").append(one);
    throw Wrong{why};
  }
}

std::string text(const Json& value, const std::string& at) {
  const bool good = value.is_string() && !value.get_ref<const std::string&>().empty() &&
                    value.get_ref<const std::string&>().size() <= kTextBytesMax &&
                    std::none_of(value.get_ref<const std::string&>().begin(), value.get_ref<const std::string&>().end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  if (!good) refuse(at, value, "must be a string of 1 to " + std::to_string(kTextBytesMax) + " bytes on one line");
  return value.get<std::string>();
}

bool boolean(const Json& value, const std::string& at) {
  if (!value.is_boolean()) refuse(at, value, "must be true or false");
  return value.get<bool>();
}

std::vector<std::string> paths(const Json& value, const std::string& at) {
  if (!value.is_array() || value.size() > kManifestPathsMax) {
    refuse(at, value, "must be a list of at most " + std::to_string(kManifestPathsMax) + " directories");
  }
  std::vector<std::string> out;
  for (const Json& one : value) {
    const std::string here = at + '/' + std::to_string(out.size());
    const std::filesystem::path path = one.is_string() ? one.get<std::string>() : std::string();
    const bool climbs = std::any_of(path.begin(), path.end(), [](const auto& part) { return part == ".."; });
    if (!path.is_absolute() || climbs || path.native().size() > kPathBytesMax ||
        path.native().find('\0') != std::string::npos) {
      refuse(here, one, "must be an absolute directory without \"..\"");
    }
    out.push_back(path.native());
  }
  return out;
}

struct Limit {
  const char* key;
  std::optional<std::uint64_t> PluginManifest::Limits::*target;
  std::uint64_t unit;
  std::uint64_t min;
  std::uint64_t max;  // in units
};
// A host itself needs some; below that it would not even start.
constexpr std::array<Limit, 5> kLimits = {{{"memory_mb", &PluginManifest::Limits::memory_bytes, kMiB, 16, 1ull << 24},
                                           {"file_mb", &PluginManifest::Limits::file_bytes, kMiB, 1, 1ull << 24},
                                           {"open_files", &PluginManifest::Limits::open_files, 1, 16, 1ull << 20},
                                           {"processes", &PluginManifest::Limits::processes, 1, 1, 1ull << 20},
                                           {"cpu_seconds", &PluginManifest::Limits::cpu_seconds, 1, 1, 31'622'400}}};

PluginManifest::Limits limits(const Json& value, const std::string& at) {
  only_known(value, at, {"memory_mb", "file_mb", "open_files", "processes", "cpu_seconds"});
  PluginManifest::Limits out;
  for (const Limit& limit : kLimits) {
    const auto found = value.find(limit.key);
    if (found == value.end()) continue;
    if (!found->is_number_unsigned() || found->get<std::uint64_t>() < limit.min ||
        found->get<std::uint64_t>() > limit.max) {
      refuse(at + '/' + limit.key, *found,
             "must be a whole number from " + std::to_string(limit.min) + " to " + std::to_string(limit.max));
    }
    out.*limit.target = found->get<std::uint64_t>() * limit.unit;
  }
  return out;
}

PluginManifest::Needs needs(const Json& value, const std::string& at) {
  only_known(value, at, {"network", "subprocess", "paths"});
  PluginManifest::Needs out;
  if (const auto found = value.find("network"); found != value.end()) out.network = boolean(*found, at + "/network");
  if (const auto found = value.find("subprocess"); found != value.end()) {
    out.subprocess = boolean(*found, at + "/subprocess");
  }
  if (const auto found = value.find("paths"); found != value.end()) out.paths = paths(*found, at + "/paths");
  return out;
}

std::map<std::string, std::string> schemas(const Json& value, const std::string& at) {
  if (!value.is_object()) refuse(at, value, "must be an object with task types as keys");
  std::map<std::string, std::string> out;
  for (const auto& [type, schema] : value.items()) {
    if (!is_task_type(type)) throw Wrong{at + ": " + shown(type) + " is no task type: 1 to 64 of a-z 0-9 _ . -"};
    std::string text = json::to_text(schema);
    if (const auto compiled = PayloadSchema::compile(text); !compiled.ok()) {
      throw Wrong{at + '/' + type + ": " + compiled.error().detail};
    }
    out.emplace(type, std::move(text));
  }
  return out;
}

}  // namespace

Result<PluginManifest> parse_manifest(std::string_view json_text) {
  const auto wrong = [](const std::string& why) { return Error{ErrorCode::Invalid, "manifest " + why}; };
  if (json_text.size() > kManifestBytesMax) {
    return wrong("has " + std::to_string(json_text.size()) + " bytes; at most " + std::to_string(kManifestBytesMax));
  }
  // By way of msgpack, as its reader refuses keys that come twice, and nesting without end.
  std::string bytes;
  if (const Status read = json::msgpack_from_json(json_text, bytes); !read.ok()) {
    return wrong("is not JSON: " + read.error().detail);
  }
  const Result<Json> document = json::json_from_msgpack(bytes);
  if (!document.ok()) return wrong("cannot be read: " + document.error().detail);
  const Json& root = document.value();
  try {
    only_known(root, "", {"name", "version", "needs", "limits", "handlers"});
    PluginManifest out;
    if (const auto found = root.find("name"); found != root.end()) out.name = text(*found, "/name");
    if (const auto found = root.find("version"); found != root.end()) out.version = text(*found, "/version");
    if (const auto found = root.find("needs"); found != root.end()) out.needs = needs(*found, "/needs");
    if (const auto found = root.find("limits"); found != root.end()) out.limits = limits(*found, "/limits");
    if (const auto found = root.find("handlers"); found != root.end()) out.schemas = schemas(*found, "/handlers");
    return out;
  } catch (const Wrong& found) {
    return wrong(found.why);
  }
}

Result<PluginManifest> join_table(PluginManifest manifest, const std::string& name, const std::string& version,
                                  std::span<const DeclaredHandler> handlers) {
  const auto wrong = [](const std::string& why) { return Error{ErrorCode::Invalid, why}; };
  const auto differs = [&](const char* what, const std::string& here, const std::string& there) {
    return wrong("manifest /" + std::string(what) + " is " + shown(here) + ", and the plugin's own " + what + " is " +
                 shown(there) + "; leave it out or make them equal");
  };
  if (!manifest.name.empty() && manifest.name != name) return differs("name", manifest.name, name);
  if (!manifest.version.empty() && manifest.version != version) return differs("version", manifest.version, version);
  manifest.name = name;
  manifest.version = version;
  for (const auto& [type, schema] : manifest.schemas) {
    const auto is_it = [&wanted = type](const DeclaredHandler& one) { return one.type == wanted; };
    const auto found = std::find_if(handlers.begin(), handlers.end(), is_it);
    if (found == handlers.end()) return wrong("manifest /handlers/" + type + ": the plugin has no such handler");
    if (!found->schema.empty()) {
      return wrong("manifest /handlers/" + type + ": the handler was declared with a schema; keep one of the two");
    }
  }
  for (const DeclaredHandler& handler : handlers) {
    if (handler.schema.empty()) continue;
    if (const auto compiled = PayloadSchema::compile(handler.schema); !compiled.ok()) {
      return wrong("handler " + handler.type + ": " + compiled.error().detail);
    }
    manifest.schemas.emplace(handler.type, handler.schema);
  }
  return manifest;
}

std::string to_json_text(const PluginManifest& manifest) {
  Json out = Json::object();
  if (!manifest.name.empty()) out["name"] = manifest.name;
  if (!manifest.version.empty()) out["version"] = manifest.version;
  out["needs"] = {
      {"network", manifest.needs.network}, {"subprocess", manifest.needs.subprocess}, {"paths", manifest.needs.paths}};
  Json& limits = out["limits"] = Json::object();
  for (const Limit& limit : kLimits) {
    if (const auto& value = manifest.limits.*limit.target) limits[limit.key] = *value / limit.unit;
  }
  if (!manifest.schemas.empty()) {
    Json& handlers = out["handlers"] = Json::object();
    for (const auto& [type, schema] : manifest.schemas) handlers[type] = Json::parse(schema, nullptr, false);
  }
  return json::to_text(out);
}

}  // namespace retire
