// retire-cluster-status
#include <nlohmann/json.hpp>

#include "client/cli/ask.hpp"
#include "client/cli/programs.hpp"
#include "client/cli/session.hpp"
#include "client/cli/show.hpp"

namespace retire::cli {
namespace {

using json::Json;

constexpr const char* kProgram = "retire-cluster-status";
constexpr Duration kEach = std::chrono::seconds(1);  // of --watch

struct Options {
  SessionOptions session;
  std::string address;
  bool devices = false;
  std::optional<std::string> device;
  std::optional<std::string> role;
  bool tasks = false;
  std::optional<std::string> status;
  std::uint64_t limit = 100;
  std::optional<std::string> task;
  std::optional<std::string> why;
  bool queue = false;
  bool watch = false;
};

void declare(config::Flags& flags, Options& o) {
  flags.positional("address", o.address, "where main is (default: $RETIRE_CLUSTER_ADDRESS, else 127.0.0.1:8080)")
      .check(must_be_address);
  flags.add("devices", o.devices, "list the devices");
  flags.add("device", o.device, "show one device").value_name("ID");
  flags.add("role", o.role, "only devices of this role").value_name("ROLE");
  flags.add("tasks", o.tasks, "list the newest tasks");
  flags.add("status", o.status, "only tasks of this status")
      .one_of({"pending", "queued", "assigned", "running", "success", "failed", "cancelled", "timeout"});
  flags.add("limit", o.limit, "how many tasks to list").range(1, 1'000'000);
  flags.add("task", o.task, "show one task").value_name("ID").check(must_be_task_id);
  flags.add("why", o.why, "say why a task waits").value_name("ID").check(must_be_task_id);
  flags.add("queue", o.queue, "count the tasks");
  flags.add("watch", o.watch, "show it again every second until interrupted");
  add_session_flags(flags, o.session);
}

Status check_together(const Options& o, const config::Parsed& parsed) {
  std::string first;
  for (const char* name : {"devices", "device", "tasks", "task", "why", "queue"}) {
    if (parsed.source(name) != config::Source::Flag) continue;
    if (!first.empty()) {
      return Error{ErrorCode::Invalid, "--" + first + " and --" + name + " cannot be shown at once; leave one out"};
    }
    first = name;
  }
  const auto needs = [&](const char* name, const char* other) -> Status {
    return Error{ErrorCode::Invalid, "--" + std::string(name) + " needs --" + other};
  };
  if (parsed.source("status") == config::Source::Flag && !o.tasks) return needs("status", "tasks");
  if (parsed.source("limit") == config::Source::Flag && !o.tasks) return needs("limit", "tasks");
  return ok_status();
}

Json of_role(const Json& devices, const std::optional<std::string>& role) {
  if (!role) return devices;
  Json out = Json::array();
  for (const Json& device : devices) {
    if (device.contains("role") && device["role"] == *role) out.push_back(device);
  }
  return out;
}

// Prints what is asked for, once.
Status print(const Options& o, const World& world, Ask& ask) {
  const auto shown = [&](const Result<Json>& document, const auto& show) -> Status {
    if (!document.ok()) return document.error();
    o.session.json ? print_json(world, document.value()) : show(world, document.value());
    return ok_status();
  };
  if (o.task || o.why) {
    const Result<TaskId> id = ask.id(o.task ? *o.task : *o.why);
    if (!id.ok()) return id.error();
    return o.task ? shown(ask.task(id.value()), show_task) : shown(ask.why(id.value()), show_why);
  }
  if (o.device) return shown(ask.device(*o.device), show_device);
  if (o.tasks) {
    List query;
    if (o.status) query.status = parse_status(*o.status);
    return shown(ask.tasks(query, o.limit), [&](const World& to, const Json& tasks) { show_tasks(to, tasks, query); });
  }
  if (o.devices || o.role) {
    const Result<Json> devices = ask.devices();
    if (!devices.ok()) return devices.error();
    Json document = Json::object();
    document["devices"] = of_role(devices.value(), o.role);
    o.session.json ? print_json(world, document) : show_devices(world, document["devices"]);
    return ok_status();
  }
  const Result<Json> statistics = ask.statistics();
  if (!statistics.ok()) return statistics.error();
  if (o.session.json) {
    print_json(world, o.queue ? statistics.value().value("queue_stats", Json::object()) : statistics.value());
    return ok_status();
  }
  if (o.queue) {
    show_queue(world, statistics.value());
    return ok_status();
  }
  const Result<Json> devices = ask.devices();
  if (!devices.ok()) return devices.error();
  List waiting;
  waiting.status = TaskStatus::Queued;
  const Result<Json> queued = ask.tasks(waiting, 100);
  if (!queued.ok()) return queued.error();
  show_overview(world, main_address(world, o.address).value().text(), statistics.value(), devices.value(),
                queued.value());
  return ok_status();
}

}  // namespace

Exit run_status(const std::vector<std::string>& arguments, const World& world) {
  Options o;
  config::Flags flags(kProgram, "Shows the cluster: an overview, or what the flags ask for.");
  declare(flags, o);
  const Result<config::Parsed> parsed = flags.parse(arguments, world.environment);
  if (const auto status = config::ends_here(parsed, kProgram, world.out, world.err)) return static_cast<Exit>(*status);
  start_logging(kProgram, o.session, parsed.value());
  if (const Status status = check_together(o, parsed.value()); !status.ok())
    return fail(world, kProgram, status.error());

  const auto client = connect(world, kProgram, o.address, o.session);
  if (!client.ok()) return fail(world, kProgram, client.error());
  Ask ask(*client.value(), call_timeout(o.session));
  for (;;) {
    if (o.watch && world.out_is_terminal && !o.session.json) world.out << "\x1b[H\x1b[2J";
    if (const Status status = print(o, world, ask); !status.ok()) return fail(world, kProgram, status.error());
    world.out.flush();
    if (!o.watch || !world.out || !world.pause(kEach)) return finish(world, kProgram, Exit::Ok);
  }
}

}  // namespace retire::cli
