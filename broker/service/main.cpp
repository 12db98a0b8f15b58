// retire-cluster-main: where the real world is plugged in, and nothing else.
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <iostream>
#include <random>

#include "broker/service/broker.hpp"
#include "broker/service/data_dir.hpp"
#include "broker/service/loop.hpp"
#include "common/base/failpoint.hpp"
#include "common/config/common_flags.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {
namespace {

// A main that does not stand still turns at least twice a second.
constexpr Duration kFrozenAfterMin = std::chrono::seconds(1);

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
  ::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error like another full disk
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
  std::uint64_t max_queued = 10'000'000;
  std::uint64_t max_queued_mib = 16'384;
  std::uint64_t memory_budget = 256;
  double history_age = 7 * 24 * 3600;
  std::uint64_t history_count = 1'000'000;
  std::uint64_t history_mib = 1'024;
  std::uint64_t max_connections = 16'000;
  std::uint64_t disk_reserve = 512;
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
  flags.add("max-queued", options.max_queued, "tasks that may wait; beyond it submissions are told to come again")
      .value_name("COUNT")
      .range(1, 1e9);
  flags.add("max-queued-mib", options.max_queued_mib, "the same in MiB of their payloads")
      .value_name("MIB")
      .range(1, 1e9);
  flags.add("memory-budget", options.memory_budget, "MiB of payloads and results kept in memory beside the store")
      .value_name("MIB")
      .range(0, 1e9);
  flags.add("history-age", options.history_age, "how long finished tasks are kept")
      .value_name("SECONDS")
      .range(1, 3.2e9);
  flags.add("history-count", options.history_count, "how many finished tasks are kept, at most")
      .value_name("COUNT")
      .range(1, 1e9);
  flags.add("history-mib", options.history_mib, "MiB of payloads and results of finished tasks that are kept, at most")
      .value_name("MIB")
      .range(1, 1e9);
  flags.add("max-connections", options.max_connections, "connections that are let in at the same time")
      .value_name("COUNT")
      .range(1, 1e6);
  flags.add("disk-reserve", options.disk_reserve, "MiB to be left free on the disk: with less, submissions are refused")
      .value_name("MIB")
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

// Each connection is a descriptor; where the soft limit is lower than the hard one, it need not be.
void allow_connections(std::uint64_t connections) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = connections + 256;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY ? wanted : std::min<rlim_t>(wanted, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
  }
  if (limit.rlim_cur < wanted) {
    logging::info("the system lets {} files be open at a time, fewer than --max-connections {} need", limit.rlim_cur,
                  connections);
  }
}

void tell_store(const store::Store& store, const std::string& data_dir, std::uint64_t epoch) {
  if (!store.is_durable()) {
    logging::warn("tasks are kept in memory only: what is queued is gone when main stops (run {})", epoch);
    return;
  }
  const store::Opened opened = store.opened();
  logging::info("tasks are kept in {}/store (run {}): {}, batches={}", data_dir, epoch,
                opened.fresh   ? "new"
                : opened.clean ? "the last main stopped in order"
                               : "the last main did not stop in order",
                opened.batches);
  if (opened.dropped_batches > 0) {
    logging::warn("the last thing that was written was incomplete and is dropped: nobody was told of it");
  }
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

  if (const std::string_view armed = config::variable(environment, "RETIRE_CLUSTER_FAILPOINT"); !armed.empty()) {
    if (const Status status = arm_failpoint(armed); !status.ok()) {
      return fail(
          {status.error().code, status.error().detail + "; unset RETIRE_CLUSTER_FAILPOINT, which is for tests"});
    }
    logging::warn("this main ends by SIGKILL at the failpoint {}: RETIRE_CLUSTER_FAILPOINT is for tests", armed);
  }
  if (options.store.starts_with("postgresql://")) {
    return fail({ErrorCode::Configuration, "--store postgresql://… is not built yet; leave it out, or use memory:"});
  }
  Result<DataDir> data_dir = DataDir::open(options.data_dir);
  if (!data_dir.ok()) return fail(data_dir.error());
  const Result<std::uint64_t> epoch = data_dir.value().next_epoch();
  if (!epoch.ok()) return fail(epoch.error());
  store::StoreOptions where;
  where.directory = options.data_dir + "/store";
  where.reserve_bytes = options.disk_reserve << 20;
  Result<std::unique_ptr<store::Store>> store = store::open_store(options.store, where);
  if (!store.ok()) return fail(store.error());

  BrokerConfig config;
  config.scheduler.offline_after = from_seconds(options.offline_after);
  config.scheduler.lease = from_seconds(options.lease);
  // A time in which main itself stood still is not counted as a device's silence, wherever it could matter.
  config.scheduler.frozen_after =
      std::clamp(config.scheduler.offline_after / 2, kFrozenAfterMin, config.scheduler.frozen_after);
  config.scheduler.age_after = from_seconds(options.age_after);
  config.heartbeat = from_seconds(options.heartbeat_interval);
  config.epoch = epoch.value();
  config.scheduler.waiting_tasks_max = options.max_queued;
  config.scheduler.waiting_bytes_max = options.max_queued_mib << 20;
  config.scheduler.memory_budget = options.memory_budget << 20;
  config.scheduler.history_age_max = from_seconds(options.history_age);
  config.scheduler.history_tasks_max = options.history_count;
  config.scheduler.history_bytes_max = options.history_mib << 20;
  config.sessions_max = options.max_connections;
  std::random_device random;
  config.seed = (std::uint64_t{random()} << 32) | random();

  catch_signals();
  net::Context context;
  Result<net::Router> router = net::Router::bind(context, {options.host, options.port}, {});
  if (!router.ok()) return fail(router.error());
  allow_connections(options.max_connections);
  const Address address = router.value().address();

  logging::warn("connections are not encrypted and need no key yet: anybody who reaches {} may join and submit{}",
                address.text(), address.is_loopback() ? "" : "; bind to 127.0.0.1 unless you trust this network");
  tell_store(*store.value(), options.data_dir, config.epoch);
  std::cout << "listening on tcp://" << address.text() << std::endl;

  RouterTransport transport(std::move(router.value()));
  Broker broker(config, transport, *store.value());
  const Status status = run_broker(broker, transport, *store.value(), stop_requested, wake_pipe[0]);
  if (!status.ok()) return fail(status.error());
  if (const Status closed = store.value()->close(); !closed.ok()) return fail(closed.error());
  const core::Counters& counters = broker.scheduler().counters();
  logging::info(
      "stopped: messages_in={} messages_out={} malformed={} attempts_lost={} leases_expired={} results_stale={}",
      broker.counters().messages_in, broker.counters().messages_out, broker.counters().malformed,
      counters.attempts_lost, counters.leases_expired, counters.results_stale);
  return 0;
}

}  // namespace
}  // namespace retire::service

int main(int argc, char** argv) { return retire::service::run(argc, argv); }
