#include "worker/service/run.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <random>

#include "common/logging/logging.hpp"
#include "worker/probe/data_dir.hpp"
#include "worker/service/agent.hpp"
#include "worker/service/connection_test.hpp"
#include "worker/service/locations.hpp"
#include "worker/service/offers.hpp"
#include "worker/service/plugin_watch.hpp"
#include "worker/service/report.hpp"
#include "worker/service/sandboxing.hpp"

namespace retire::worker {
namespace {

using config::Exit;

Exit fail(const Error& error) {
  std::fprintf(stderr, "retire-cluster-worker: %s\n", error.detail.c_str());
  return config::exit_status(error.code);
}

std::uint64_t random_bits() {
  std::random_device random;
  return (std::uint64_t{random()} << 32) | random();
}

// Each host takes descriptors of ours, and the usual soft limit is low.
void allow_descriptors(std::uint32_t slots) {
  const rlim_t wanted = rlim_t{slots} * 4 + 256;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
  limit.rlim_cur = std::min(wanted, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted) {
    logging::warn(
        "{} slots may need {} open files, but the limit is {}: raise it with ulimit -n, or give fewer --slots", slots,
        wanted, limit.rlim_cur);
  }
}

// The device as it is offered: measured, and with what its plugins can do.
struct Described {
  Capabilities device;
  Offers offers;
  Sandboxing sandboxing;
  std::optional<PluginCatalog> catalog;
};

OfferRules rules_of(const Options& options) { return {options.allow, options.deny, options.only}; }

Result<Described> describe(const Options& options, const Locations& locations, std::string device_id) {
  Described out;
  out.device = probe::probe_device(probe::surroundings(options.data_dir), options.overrides);
  out.device.device_id = std::move(device_id);
  Result<Sandboxing> sandboxing = set_up_sandbox(options, out.device, locations.handler_host);
  if (!sandboxing.ok()) return sandboxing.error();
  out.sandboxing = std::move(sandboxing).value();
  out.device.isolation = out.sandboxing.achieved;
  if (out.device.device_id.empty()) {
    const auto random = static_cast<std::uint32_t>(random_bits());
    out.device.device_id = probe::make_device_id(out.device.platform, probe::host_name(), random);
  }
  std::vector<std::filesystem::path> directories(options.plugin_dirs.begin(), options.plugin_dirs.end());
  directories.push_back(locations.plugins);
  PluginCatalogConfig plugins;
  plugins.directories = std::move(directories);
  plugins.handler_host = locations.handler_host;
  plugins.setup = host::make_setup(out.device, options.http_allow);
  plugins.seats = out.sandboxing.seats;
  plugins.writable = plugins.seats->config().writable;
  plugins.paths_bind = plugins.seats->config().level != sandbox::Level::Off;
  for (const std::string& file : options.plugin_keys) {
    const Result<PublicKey> key = PublicKey::read(file);
    if (!key.ok()) return Error{ErrorCode::Configuration, "--plugin-key " + key.error().detail};
    plugins.keys.push_back(key.value());
  }
  out.catalog.emplace(std::move(plugins));
  if (const Status opened = out.catalog->open(); !opened.ok()) return opened.error();
  out.offers = find_offers(*out.catalog, rules_of(options));
  Result<Capabilities> device = with_offers(out.device, out.offers);
  if (!device.ok()) return device.error();
  out.device = std::move(device).value();
  return out;
}

Exit test_connection(const Options& options, const Locations& locations) {
  const std::string id = options.device_id.empty() ? probe::kept_device_id(options.data_dir) : options.device_id;
  const Result<Described> described = describe(options, locations, id);
  if (!described.ok()) return fail(described.error());
  const Capabilities& device = described.value().device;
  std::fputs((options.json ? device_json(device) : device_text(device)).c_str(), stdout);
  std::fflush(stdout);
  const Result<Address> address = Address::parse(options.test);
  if (!address.ok()) return fail(address.error());
  const Result<std::string> answer =
      try_connection(address.value(), from_seconds(options.common.connect_timeout_seconds));
  if (!answer.ok()) return fail(answer.error());
  if (!options.json)
    std::printf("%-10s %s answers at %s\n", "main", answer.value().c_str(), address.value().text().c_str());
  return Exit::Ok;
}

}  // namespace

Exit run(const Options& options, const config::Parsed& parsed) {
  const Locations locations = find_locations();
  if (access(locations.handler_host.c_str(), X_OK) != 0) {
    return fail({ErrorCode::Configuration,
                 locations.handler_host.string() + " is missing; it is installed together with this program"});
  }
  if (!options.test.empty()) return test_connection(options, locations);

  const Result<Address> main = Address::parse(options.join);
  if (!main.ok()) {
    const bool given = parsed.given("join");
    return fail({given ? ErrorCode::Invalid : ErrorCode::Configuration, main.error().detail});
  }
  const Result<int> signals = block_signals();
  if (!signals.ok()) return fail(signals.error());
  const Result<probe::DataDirLock> lock = probe::DataDirLock::take(options.data_dir);
  if (!lock.ok()) return fail(lock.error());

  Result<Described> described = describe(
      options, locations, options.device_id.empty() ? probe::kept_device_id(options.data_dir) : options.device_id);
  if (!described.ok()) return fail(described.error());
  Described& device = described.value();
  if (options.device_id.empty()) {
    const Result<std::string> kept = probe::keep_device_id(options.data_dir, device.device.device_id);
    if (!kept.ok()) return fail(kept.error());
  }
  logging::info("sandbox {}", device.sandboxing.summary);
  for (const std::string& line : device.sandboxing.notes) logging::info("{}", line);
  for (const std::string& line : device.sandboxing.warnings) logging::warn("{}", line);
  for (const std::string& line : device.offers.refused) logging::warn("{}", line);
  for (const std::string& line : device.offers.notes) logging::warn("{}", line);
  if (device.device.handlers.empty()) logging::warn("no task type is offered: see --plugin-dir, --allow and --only");
  std::string types;
  for (const std::string& type : device.device.handlers) types += (types.empty() ? "" : " ") + type;
  logging::info("device={} role={} platform={} slots={} types: {}", device.device.device_id, device.device.role,
                device.device.platform, device.device.slots, types);
  logging::warn("joining main at {}; the connection is not encrypted and nobody is authenticated in this version",
                main.value().text());

  allow_descriptors(device.device.slots);
  AgentConfig config;
  config.main = main.value();
  config.core.device = device.device;
  config.core.program = "retire-cluster-worker " RC_VERSION;
  config.core.instance = Uuid::random(random_bits(), random_bits());
  config.core.seed = random_bits();
  config.core.drain_timeout = from_seconds(options.drain_timeout_seconds);
  config.pool.program = locations.handler_host;
  config.pool.setup = host::make_setup(device.device, options.http_allow);
  config.http_allow = options.http_allow;
  config.pool.slots = device.device.slots;
  config.pool.seats = device.sandboxing.seats;
  PluginWatch plugins(std::move(*device.catalog), rules_of(options));
  config.offers = std::move(device.offers);
  config.plugins = &plugins;
  config.outbox = std::filesystem::path(options.data_dir) / "outbox";
  config.duty = duty_config(options.duty);
  net::Context context;
  Agent agent(std::move(config), context, signals.value());
  const Status status = agent.run();
  if (!status.ok()) return fail(status.error());
  logging::info("left");
  return Exit::Ok;
}

}  // namespace retire::worker
