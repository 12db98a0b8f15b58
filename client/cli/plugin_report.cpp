#include "client/cli/plugin_report.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <system_error>

#include "plugins/loader/image.hpp"
#include "plugins/loader/scan.hpp"
#include "plugins/loader/trust.hpp"
#include "plugins/manifest/manifest.hpp"
#include "worker/host/plugin_prober.hpp"
#include "worker/host/sandbox_check.hpp"
#include "worker/sandbox/seats.hpp"

namespace retire::cli {
namespace {

using json::Json;

constexpr Duration kProbeTimeout = std::chrono::seconds(10);
constexpr std::uint64_t kProbeMemory = std::uint64_t{2} << 30;

// As a worker at --sandbox basic has it, and with less where the system cannot do all of that.
std::shared_ptr<sandbox::Seats> make_seats(const std::string& host) {
  sandbox::SeatsConfig config;
  config.level = sandbox::Level::Basic;
  config.limits.memory_bytes = kProbeMemory;
  const char* temporary = std::getenv("TMPDIR");
  if (temporary != nullptr && temporary[0] == '/') config.temporary = temporary;
  auto seats = sandbox::Seats::make(config);
  const Result<host::SandboxCheck> check = host::check_sandbox(host, *seats);
  if (check.ok() && !check.value().failed.empty()) {
    config.filter = false;
    seats = sandbox::Seats::make(config);
  }
  return seats;
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json signature_of(const std::filesystem::path& file, const std::string& hash, const std::vector<PublicKey>& keys) {
  Json out = {{"state", "none"}, {"key_id", nullptr}, {"why", nullptr}};
  const Result<PluginSignature> signature = read_signature(signature_file(file));
  if (!signature.ok() && signature.error().code == ErrorCode::NotFound) return out;
  if (signature.ok()) out["key_id"] = signature.value().key_id();
  const auto refused = [&](const std::string& why) {
    out["state"] = "refused";
    out["why"] = why;
    return out;
  };
  if (!signature.ok()) return refused(signature.error().detail);
  const auto digest = digest_from_hex(hash);
  if (!digest) return refused("the plugin could not be hashed");
  if (keys.empty()) {
    // Without a key it cannot be told who signed, but whether it was these bytes.
    if (signature.value().file != *digest) return refused("it is for other bytes than the file has now");
    out["state"] = "unverified";
    return out;
  }
  const Result<PublicKey> verified = verify_signature(signature.value(), *digest, keys);
  if (!verified.ok()) return refused(verified.error().detail);
  out["state"] = "valid";
  return out;
}

void add_manifest(Json& out, const PluginManifest& manifest) {
  const Json said = Json::parse(to_json_text(manifest));
  out["needs"] = said.at("needs");
  out["limits"] = said.at("limits");
}

Json handler_of(const host::Manifest::Handler& handler, const PluginManifest& manifest) {
  const auto schema = manifest.schemas.find(handler.info.name);
  return {{"task_type", handler.info.name},
          {"description", handler.info.description},
          {"off_by_default", handler.info.off_by_default},
          {"cannot_work_here", text_or_null(handler.refusal)},
          {"payload_schema",
           schema == manifest.schemas.end() ? Json(nullptr) : Json::parse(schema->second, nullptr, false)}};
}

// Of names that the agent would call one line, too.
std::string without_file(const std::filesystem::path& file, std::string why) {
  if (const std::string prefix = file.string() + ": "; why.starts_with(prefix)) why.erase(0, prefix.size());
  return why;
}

Json empty_report(const std::filesystem::path& file) {
  return {{"file", file.string()}, {"refused", nullptr},       {"name", nullptr},      {"version", nullptr},
          {"size_bytes", nullptr}, {"sha256", nullptr},        {"signature", nullptr}, {"needs", nullptr},
          {"limits", nullptr},     {"handlers", Json::array()}};
}

}  // namespace

PluginPlaces find_plugin_places() {
  std::error_code failed;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", failed);
  const std::filesystem::path prefix = program.parent_path().parent_path();
  return {prefix / "lib/retire-cluster/plugins", prefix / "libexec/retire-cluster/retire-cluster-handler-host"};
}

Json report_plugin(const std::filesystem::path& file, const PluginPlaces& places, const std::vector<PublicKey>& keys) {
  Json out = empty_report(file);
  const auto refuse = [&](const std::string& why) {
    if (out["refused"].is_null()) out["refused"] = without_file(file, why);
  };
  const Status trusted = check_trusted(file);
  if (!trusted.ok()) refuse(trusted.error().detail);
  PluginImage::Check check;  // what is refused anyway is only looked at
  if (trusted.ok()) check = [&file](int descriptor) { return check_trusted_open(file, descriptor); };
  const Result<PluginImage> image = PluginImage::read(file, check);
  if (!image.ok()) {
    refuse(image.error().detail);
    return out;
  }
  out["size_bytes"] = image.value().size();
  out["sha256"] = image.value().hash();
  out["signature"] = signature_of(file, image.value().hash(), keys);

  PluginManifest manifest;
  const Result<std::string> text = read_manifest_text(image.value().descriptor(), file.string());
  if (!text.ok()) {
    refuse(text.error().detail);
  } else if (!text.value().empty()) {
    Result<PluginManifest> read = parse_manifest(text.value());
    if (read.ok()) {
      manifest = read.value();
    } else {
      refuse(read.error().detail);
    }
  }
  out["name"] = text_or_null(manifest.name);
  out["version"] = text_or_null(manifest.version);
  if (text.ok()) add_manifest(out, manifest);
  if (!out["refused"].is_null()) return out;

  static const std::shared_ptr<sandbox::Seats> seats = make_seats(places.host);
  const Result<host::Manifest> offers =
      host::probe_plugin(places.host, image.value(), host::Setup{}, kProbeTimeout, *seats);
  if (!offers.ok()) {
    refuse(offers.error().detail);
    return out;
  }
  out["name"] = text_or_null(offers.value().name);
  out["version"] = text_or_null(offers.value().version);
  std::vector<DeclaredHandler> declared;
  for (const host::Manifest::Handler& handler : offers.value().handlers) {
    declared.push_back({handler.info.name, handler.info.payload_schema});
  }
  const Result<PluginManifest> joined = join_table(manifest, offers.value().name, offers.value().version, declared);
  if (!joined.ok()) refuse(joined.error().detail);
  for (const host::Manifest::Handler& handler : offers.value().handlers) {
    out["handlers"].push_back(handler_of(handler, joined.ok() ? joined.value() : manifest));
  }
  return out;
}

Result<std::vector<Json>> report_directory(const std::filesystem::path& directory, const PluginPlaces& places,
                                           const std::vector<PublicKey>& keys) {
  const Result<FoundPlugins> found = scan_plugins(directory);
  if (!found.ok()) return found.error();
  std::vector<Json> out;
  for (const std::filesystem::path& file : found.value().files) out.push_back(report_plugin(file, places, keys));
  if (found.value().beyond > 0) {
    Json& rest = out.emplace_back(empty_report(found.value().first_beyond));
    rest["refused"] = describe_beyond(found.value());
  }
  return out;
}

}  // namespace retire::cli
