#include "client/cli/plugin_tool.hpp"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/cli/plugin_report.hpp"
#include "client/cli/plugin_show.hpp"
#include "client/cli/show.hpp"
#include "plugins/loader/scan.hpp"

namespace retire::cli {
namespace {

using json::Json;

constexpr const char* kProgram = "retire-cluster";

// The codes of files are those of the libraries; the status says "no such task or device" with some of them.
Error about_key(Error error) {
  if (error.code == ErrorCode::NotFound) error.code = ErrorCode::Configuration;
  return error;
}
Error about_file(Error error) {
  if (error.code == ErrorCode::NotFound || error.code == ErrorCode::Invalid) error.code = ErrorCode::PluginRefused;
  return error;
}

Result<std::vector<PublicKey>> read_keys(const PluginOptions& options) {
  std::vector<PublicKey> keys;
  for (const std::string& file : options.keys) {
    Result<PublicKey> key = PublicKey::read(file);
    if (!key.ok()) return about_key(key.error());
    keys.push_back(key.value());
  }
  return keys;
}

Exit keygen(const PluginOptions& options, bool json, const World& world) {
  if (options.what.size() != 1)
    return fail(world, kProgram, {ErrorCode::Invalid, "plugin keygen makes one key: give one NAME"});
  const std::string& name = options.what[0];
  const PrivateKey key = PrivateKey::generate();
  if (const Status made = key.write_new(name + ".key", name + ".pub"); !made.ok()) {
    return fail(world, kProgram, made.error());
  }
  const PublicKey open = key.public_key();
  if (json) {
    print_json(world, {{"key_id", open.id()},
                       {"sha256", to_hex(open.hash())},
                       {"private_key", name + ".key"},
                       {"public_key", name + ".pub"}});
  } else {
    world.out << "key " << open.id() << ": made " << name << ".key, which signs and must stay yours, and " << name
              << ".pub, which verifies\n";
  }
  return Exit::Ok;
}

Exit sign(const PluginOptions& options, bool json, const World& world) {
  const Result<PrivateKey> key = PrivateKey::read(options.private_key);
  if (!key.ok()) return fail(world, kProgram, about_key(key.error()));
  Json documents = Json::array();
  for (const std::string& file : options.what) {
    const Result<PluginSignature> signature = sign_plugin(file, key.value());
    if (!signature.ok()) return fail(world, kProgram, about_file(signature.error()));
    const std::string beside = signature_file(file).string();
    if (!json) world.out << beside << ": signed by key " << signature.value().key_id() << '\n';
    documents.push_back({{"file", file},
                         {"signature_file", beside},
                         {"key_id", signature.value().key_id()},
                         {"sha256", to_hex(signature.value().file)}});
  }
  if (json) print_json(world, {{"plugins", documents}});
  return Exit::Ok;
}

Exit verify(const PluginOptions& options, bool json, const World& world) {
  const Result<std::vector<PublicKey>> keys = read_keys(options);
  if (!keys.ok()) return fail(world, kProgram, keys.error());
  if (keys.value().empty()) {
    return fail(world, kProgram,
                {ErrorCode::Invalid, "plugin verify needs the public key of whom you trust: --plugin-key FILE"});
  }
  Json documents = Json::array();
  std::optional<Error> first;
  for (const std::string& file : options.what) {
    const Result<Digest> digest = sha256_of(file);
    const Result<PublicKey> key =
        digest.ok() ? verify_plugin(file, digest.value(), keys.value()) : Result<PublicKey>(about_file(digest.error()));
    Json document = {{"file", file}, {"valid", key.ok()}, {"key_id", nullptr}, {"sha256", nullptr}, {"why", nullptr}};
    if (digest.ok()) document["sha256"] = to_hex(digest.value());
    if (key.ok()) {
      document["key_id"] = key.value().id();
      if (!json) world.out << file << ": signed by key " << key.value().id() << '\n';
    } else {
      document["why"] = key.error().detail;
      if (!json) fail(world, kProgram, key.error());
      if (!first) first = key.error();
    }
    documents.push_back(std::move(document));
  }
  if (json) print_json(world, {{"plugins", documents}});
  return first ? config::exit_status(first->code) : Exit::Ok;
}

std::vector<std::filesystem::path> directories_of(const PluginOptions& options, const PluginPlaces& places) {
  std::vector<std::filesystem::path> out(options.plugin_dirs.begin(), options.plugin_dirs.end());
  out.push_back(places.plugins);
  return out;
}

Exit list(const PluginOptions& options, bool json, const World& world) {
  const Result<std::vector<PublicKey>> keys = read_keys(options);
  if (!keys.ok()) return fail(world, kProgram, keys.error());
  const PluginPlaces places = find_plugin_places();
  std::vector<std::filesystem::path> directories(options.what.begin(), options.what.end());
  if (directories.empty()) directories = directories_of(options, places);
  Json plugins = Json::array();
  for (const std::filesystem::path& directory : directories) {
    const Result<std::vector<Json>> reports = report_directory(directory, places, keys.value());
    if (!reports.ok()) return fail(world, kProgram, reports.error());
    for (const Json& report : reports.value()) plugins.push_back(report);
  }
  json ? print_json(world, {{"plugins", plugins}}) : show_plugins(world, plugins);
  return Exit::Ok;
}

bool is_called(const Json& report, const std::string& name) {
  if (report["name"] == name) return true;
  for (const Json& handler : report["handlers"]) {
    if (handler["task_type"] == name) return true;
  }
  return false;
}

// FILE if there is such a file, else the plugin whose file, name or handler is called so. The one that a worker would
// use comes first. Errors: PluginNotFound.
Result<Json> find_report(const PluginOptions& options, const std::string& name, const std::vector<PublicKey>& keys) {
  const PluginPlaces places = find_plugin_places();
  std::error_code ignored;
  if (name.find('/') != std::string::npos || std::filesystem::exists(name, ignored))
    return report_plugin(name, places, keys);
  std::string looked;
  for (const std::filesystem::path& directory : directories_of(options, places)) {
    looked += (looked.empty() ? "" : ", ") + directory.string();
    const Result<FoundPlugins> found = scan_plugins(directory);
    if (!found.ok()) continue;
    std::optional<Json> by_name;
    for (const std::filesystem::path& file : found.value().files) {
      if (file.stem() == name || file.filename() == name) return report_plugin(file, places, keys);
      if (by_name) continue;
      Json report = report_plugin(file, places, keys);
      if (is_called(report, name)) by_name = std::move(report);
    }
    if (by_name) return *std::move(by_name);
  }
  return Error{ErrorCode::PluginNotFound, "no plugin file, plugin or handler is called \"" + name + "\" in " + looked +
                                              "; give a file, or --plugin-dir"};
}

Exit show(const PluginOptions& options, bool json, const World& world) {
  if (options.what.size() != 1)
    return fail(world, kProgram, {ErrorCode::Invalid, "plugin show takes one FILE or NAME"});
  const Result<std::vector<PublicKey>> keys = read_keys(options);
  if (!keys.ok()) return fail(world, kProgram, keys.error());
  const Result<Json> report = find_report(options, options.what[0], keys.value());
  if (!report.ok()) return fail(world, kProgram, report.error());
  json ? print_json(world, report.value()) : show_plugin(world, report.value());
  const Json& why = report.value()["refused"];
  if (why.is_null()) return Exit::Ok;
  return fail(world, kProgram,
              {ErrorCode::PluginRefused, report.value()["file"].get<std::string>() + ": " + why.get<std::string>()});
}

}  // namespace

void declare_plugin(config::Flags& flags, PluginOptions& options) {
  config::Flags& plugin = flags.verb("plugin", "list, show, keygen, sign, verify");
  const auto with_keys = [&](config::Flags& verb) {
    verb.add("plugin-key", options.keys, "a public key that is trusted").value_name("FILE");
  };
  const auto with_directories = [&](config::Flags& verb) {
    verb.add("plugin-dir", options.plugin_dirs, "a directory beside the installed one").value_name("DIR");
  };
  config::Flags& list = plugin.verb("list", "list the plugins in directories, refused ones too");
  list.positional("dir", options.what, "directories; left out: --plugin-dir and the installed one");
  with_directories(list);
  with_keys(list);
  config::Flags& show = plugin.verb("show", "show what a plugin offers, needs and expects");
  show.positional("plugin", options.what, "a file, or the name of a plugin or of a handler").required();
  with_directories(show);
  with_keys(show);
  plugin.verb("keygen", "make a key to sign plugins with")
      .positional("name", options.what, "NAME.key and NAME.pub are made")
      .required();
  config::Flags& sign = plugin.verb("sign", "put a signature beside plugins");
  sign.positional("file", options.what, "plugins").required();
  sign.add("key", options.private_key, "the private key").value_name("FILE").only_flag();
  config::Flags& verify = plugin.verb("verify", "hold plugins against their signatures");
  verify.positional("file", options.what, "plugins").required();
  with_keys(verify);
}

Exit run_plugin(const std::string& verb, const PluginOptions& options, bool json, const World& world) {
  if (verb == "keygen") return keygen(options, json, world);
  if (verb == "verify") return verify(options, json, world);
  if (verb == "list") return list(options, json, world);
  if (verb == "show") return show(options, json, world);
  if (options.private_key.empty()) {
    return fail(world, kProgram,
                {ErrorCode::Invalid, "plugin sign needs --key FILE, a private key that \"plugin keygen\" made"});
  }
  return sign(options, json, world);
}

}  // namespace retire::cli
