// retire-cluster-main: where the real world is plugged in, and nothing else.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <iostream>
#include <random>

#include "broker/service/broker.hpp"
#include "broker/service/data_dir.hpp"
#include "broker/service/loop.hpp"
#include "common/config/common_flags.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {
namespace {

std::atomic<bool> stop_requested = false;
std::array<int, 2> wake_pipe = {-1, -1};

void on_signal(int /*signal*/) {
  stop_requested.store(true);
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = ::write(wake_pipe[1], &byte, 1);
}

void catch_signals() {
  RC_ASSERT(::pipe2(wake_pipe.data(), O_CLOEXEC | O_NONBLOCK) == 0);
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

struct Options {
  std::string host = "0.0.0.0";
  std::uint16_t port = kDefaultPort;
  std::string data_dir;
  std::string http_host = "127.0.0.1";
  std::uint16_t http_port = 8081;
  bool no_http = false;
  std::string store = "embedded";
  double heartbeat_interval = 5;
  double offline_after = 15;
  double lease = 30;
  double age_after = 0;
  bool insecure = false;
};

void declare(config::Flags& flags, Options& options) {
  flags.add("host", options.host, "address to listen on");
  flags.add("port", options.port, "port to listen on; 0 takes a free one");
  flags.add("data-dir", options.data_dir, "where main keeps its state").value_name("DIR");
  flags.add("http-host", options.http_host, "address of the HTTP gateway").later("the HTTP gateway comes later");
  flags.add("http-port", options.http_port, "port of the HTTP gateway").later("the HTTP gateway comes later");
  flags.add("no-http", options.no_http, "do not start the HTTP gateway");
  flags.add("store", options.store, "where tasks are kept: embedded, or memory: (keeps nothing)")
      .value_name("URL")
      .check([](const std::string& url) -> std::optional<std::string> {
        if (url == "embedded" || url == "memory:" || url.starts_with("postgresql://")) return std::nullopt;
        return "embedded, memory: or postgresql://…";
      });
  flags.add("heartbeat-interval", options.heartbeat_interval, "how often devices report")
      .value_name("SECONDS")
      .range(0.05, 3600);
  flags.add("offline-after", options.offline_after, "silence after which a device gets no new task")
      .value_name("SECONDS")
      .range(0.1, 86400);
  flags.add("lease", options.lease, "silence after which a device's tasks go to others")
      .value_name("SECONDS")
      .range(0.1, 86400);
  flags
      .add("age-after", options.age_after,
           "wait after which a task counts as one priority higher, again and again; 0: never")
      .value_name("SECONDS")
      .range(0, 1e9);
  flags.add("insecure", options.insecure, "no keys: anybody who reaches the port may join and submit");
  flags.after([&options](const config::Parsed&) -> Status {
    if (options.offline_after <= options.heartbeat_interval) {
      return Error{ErrorCode::Configuration, "--offline-after " + std::to_string(options.offline_after) +
                                                 " must be longer than --heartbeat-interval " +
                                                 std::to_string(options.heartbeat_interval)};
    }
    if (options.lease < options.offline_after) {
      return Error{ErrorCode::Configuration, "--lease " + std::to_string(options.lease) +
                                                 " must not be shorter than --offline-after " +
                                                 std::to_string(options.offline_after)};
    }
    return ok_status();
  });
  flags.add_init_config();
}

int fail(const Error& error) {
  std::cerr << "retire-cluster-main: " << error.detail << "\n";
  return static_cast<int>(config::exit_status(error.code));
}

int run(int argc, char** argv) {
  const config::Environment environment = config::process_environment();
  Options options;
  options.data_dir = config::home_directory(environment);
  config::CommonOptions common;
  config::Flags flags("retire-cluster-main", "Owns the queue and hands tasks to workers.");
  config::add_common_flags(flags, common);
  declare(flags, options);
  const Result<config::Parsed> parsed = flags.parse(argc, argv, environment);
  if (const auto status = config::ends_here(parsed, "retire-cluster-main", std::cout, std::cerr)) return *status;
  logging::start({.program = "retire-cluster-main",
                  .level = *logging::parse_level(common.log_level),
                  .json = common.log_format == "json"});
  for (const std::string& notice : parsed.value().notices) logging::info("{}", notice);

  if (options.store.starts_with("postgresql://")) {
    return fail({ErrorCode::Configuration, "--store postgresql://… is not built yet; leave it out, or use memory:"});
  }
  Result<DataDir> data_dir = DataDir::open(options.data_dir);
  if (!data_dir.ok()) return fail(data_dir.error());
  const Result<std::uint64_t> epoch = data_dir.value().next_epoch();
  if (!epoch.ok()) return fail(epoch.error());
  Result<std::unique_ptr<store::Store>> store = store::open_store("memory:");
  if (!store.ok()) return fail(store.error());

  BrokerConfig config;
  config.scheduler.offline_after = from_seconds(options.offline_after);
  config.scheduler.lease = from_seconds(options.lease);
  config.scheduler.age_after = from_seconds(options.age_after);
  config.heartbeat = from_seconds(options.heartbeat_interval);
  config.epoch = epoch.value();
  std::random_device random;
  config.seed = (std::uint64_t{random()} << 32) | random();

  catch_signals();
  net::Context context;
  Result<net::Router> router = net::Router::bind(context, {options.host, options.port}, {});
  if (!router.ok()) return fail(router.error());
  const Address address = router.value().address();

  logging::warn("connections are not encrypted and need no key yet: anybody who reaches {} may join and submit{}",
                address.text(), address.is_loopback() ? "" : "; bind to 127.0.0.1 unless you trust this network");
  logging::warn("tasks are kept in memory only: what is queued is gone when main stops (run {})", config.epoch);
  std::cout << "listening on tcp://" << address.text() << std::endl;

  RouterTransport transport(std::move(router.value()));
  Broker broker(config, transport, *store.value());
  const Status status = run_broker(broker, transport, *store.value(), stop_requested, wake_pipe[0]);
  if (!status.ok()) return fail(status.error());
  logging::info("stopped: messages_in={} messages_out={} malformed={}", broker.counters().messages_in,
                broker.counters().messages_out, broker.counters().malformed);
  return 0;
}

}  // namespace
}  // namespace retire::service

int main(int argc, char** argv) { return retire::service::run(argc, argv); }
