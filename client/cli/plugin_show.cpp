#include "client/cli/plugin_show.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "client/cli/table.hpp"
#include "client/cli/text.hpp"

namespace retire::cli {
namespace {

using json::Json;

bool colours(const World& world) {
  return world.out_is_terminal && config::variable(world.environment, "NO_COLOR").empty();
}

// Everything that is printed is the plugin's, or a file's name.
std::string text(const Json& value) {
  if (value.is_null()) return "-";
  return printable(value.is_string() ? value.get<std::string>() : json::to_text(value));
}

std::string handlers_of(const Json& plugin) {
  std::string out;
  for (const Json& handler : plugin["handlers"]) out += (out.empty() ? "" : ", ") + text(handler["task_type"]);
  return out.empty() ? "-" : out;
}

std::string signature_of(const Json& plugin) {
  const Json& signature = plugin["signature"];
  if (signature.is_null()) return "-";
  const std::string key = signature["key_id"].is_null() ? "" : " by " + text(signature["key_id"]);
  return text(signature["state"]) + key;
}

Colour signature_colour(const Json& plugin) {
  if (plugin["signature"].is_null()) return Colour::None;
  const Json& state = plugin["signature"]["state"];
  return state == "valid" ? Colour::Green : state == "refused" ? Colour::Red : Colour::Yellow;
}

void line(const World& world, const std::string& key, const std::string& value) {
  constexpr std::size_t kKeyWidth = 14;
  world.out << key << std::string(kKeyWidth - std::min(kKeyWidth - 1, key.size()), ' ') << value << '\n';
}

std::string needs_of(const Json& needs) {
  std::string out;
  for (const char* one : {"network", "subprocess"}) {
    if (needs[one] == true) out += (out.empty() ? "" : ", ") + std::string(one);
  }
  for (const Json& path : needs["paths"]) out += (out.empty() ? "" : ", ") + text(path);
  return out.empty() ? "nothing" : out;
}

// What its hosts cannot do at the level where needs bind.
std::string lacks_of(const Json& needs) {
  std::string out;
  if (needs["network"] != true) out = "no network";
  if (needs["subprocess"] != true) out += (out.empty() ? "" : ", ") + std::string("starts no programs");
  return out;
}

std::string limits_of(const Json& limits) {
  std::string out;
  for (const auto& [key, value] : limits.items()) out += (out.empty() ? "" : ", ") + key + ' ' + text(value);
  return out.empty() ? "those of the worker" : out;
}

}  // namespace

void show_plugins(const World& world, const Json& plugins) {
  if (plugins.empty()) {
    world.out << "No plugins there.\n";
    return;
  }
  Table table({{"FILE"}, {"NAME"}, {"VERSION"}, {"HANDLERS"}, {"SIGNATURE"}, {"SHA-256"}});
  for (const Json& plugin : plugins) {
    const bool refused = !plugin["refused"].is_null();
    const std::string hash = text(plugin["sha256"]);
    table.add({{text(plugin["file"]), refused ? Colour::Red : Colour::None},
               {text(plugin["name"])},
               {text(plugin["version"])},
               {refused ? "refused" : handlers_of(plugin), refused ? Colour::Red : Colour::None},
               {signature_of(plugin), signature_colour(plugin)},
               {world.out_is_terminal ? hash.substr(0, 16) : hash}});
  }
  table.print(world.out, world.width, colours(world));
  for (const Json& plugin : plugins) {
    if (!plugin["refused"].is_null()) world.out << text(plugin["file"]) << ": " << text(plugin["refused"]) << '\n';
  }
}

void show_plugin(const World& world, const Json& plugin) {
  line(world, "file", text(plugin["file"]));
  line(world, "name", text(plugin["name"]));
  line(world, "version", text(plugin["version"]));
  line(world, "sha-256", text(plugin["sha256"]));
  line(world, "signature", coloured(signature_of(plugin), signature_colour(plugin), colours(world)));
  if (!plugin["signature"].is_null() && !plugin["signature"]["why"].is_null()) {
    line(world, "", text(plugin["signature"]["why"]));
  }
  if (const Json& needs = plugin["needs"]; !needs.is_null()) {
    line(world, "needs", needs_of(needs));
    if (const std::string lacks = lacks_of(needs); !lacks.empty()) line(world, "", "at --sandbox strict: " + lacks);
  }
  if (!plugin["limits"].is_null()) line(world, "limits", limits_of(plugin["limits"]));
  for (const Json& handler : plugin["handlers"]) {
    world.out << '\n';
    line(world, "handler",
         coloured(text(handler["task_type"]), Colour::Bold, colours(world)) + "  " + text(handler["description"]));
    if (handler["off_by_default"] == true) line(world, "", "off unless --allow " + text(handler["task_type"]));
    if (!handler["cannot_work_here"].is_null())
      line(world, "", "cannot work here: " + text(handler["cannot_work_here"]));
    if (handler["payload_schema"].is_null()) {
      line(world, "payload", "anything");
      continue;
    }
    std::istringstream schema(json::to_pretty_text(handler["payload_schema"]));
    const char* key = "payload";
    for (std::string one; std::getline(schema, one); key = "") line(world, key, printable(one));
  }
}

}  // namespace retire::cli
