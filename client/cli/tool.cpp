// retire-cluster: the other programs as verbs, and the administrator's.
#include <map>
#include <nlohmann/json.hpp>

#include "client/cli/ask.hpp"
#include "client/cli/logs.hpp"
#include "client/cli/plugin_tool.hpp"
#include "client/cli/programs.hpp"
#include "client/cli/session.hpp"
#include "client/cli/show.hpp"

namespace retire::cli {
namespace {

using json::Json;

constexpr const char* kProgram = "retire-cluster";

struct Options {
  SessionOptions session;
  std::string to;
  std::string id;
  std::optional<std::string> status;
  std::optional<std::string> type;
  std::optional<std::string> role;
  std::uint64_t limit = 100;
  bool follow = false;
  PluginOptions plugin;
};

// What comes with a later step: known, so that it is not taken for a mistake.
struct Later {
  const char* noun;
  const char* verb;
};
constexpr Later kLater[] = {{"token", "create"}, {"token", "list"}, {"token", "revoke"}, {"device", "revoke"}};

// Verbs that are programs of their own.
const std::map<std::string, std::string>& programs() {
  static const std::map<std::string, std::string> kPrograms = {{"main", "retire-cluster-main"},
                                                               {"worker", "retire-cluster-worker"},
                                                               {"submit", "retire-cluster-submit"},
                                                               {"status", "retire-cluster-status"},
                                                               {"store", "retire-cluster-store"}};
  return kPrograms;
}

void declare(config::Flags& flags, Options& o) {
  flags.add("to", o.to, "where main is")
      .value_name("ADDRESS")
      .check(must_be_address)
      .default_text("$RETIRE_CLUSTER_ADDRESS, else 127.0.0.1:8080");
  add_session_flags(flags, o.session);
  for (const auto& [verb, program] : programs()) flags.verb(verb, "run " + program + " with the arguments that follow");

  config::Flags& task = flags.verb("task", "list, show, why, cancel, retry, logs");
  config::Flags& list = task.verb("list", "list the newest tasks");
  list.add("status", o.status, "only tasks of this status")
      .one_of({"pending", "queued", "assigned", "running", "success", "failed", "cancelled", "timeout"});
  list.add("type", o.type, "only tasks of this type").value_name("TYPE").check([](const std::string& text) {
    return is_task_type(text) ? std::nullopt : std::optional<std::string>("1 to 64 characters of a-z 0-9 _ . -");
  });
  list.add("limit", o.limit, "how many").range(1, 1'000'000);
  const auto with_id = [&](config::Flags& noun, const char* verb, const char* summary, const char* help) {
    return &noun.verb(verb, summary).positional("id", o.id, help).required();
  };
  constexpr const char* kTaskId = "the task's ID, the first 4 or more characters of it, or last";
  with_id(task, "show", "show one task", kTaskId)->check(must_be_task_id);
  with_id(task, "why", "say why a task waits", kTaskId)->check(must_be_task_id);
  with_id(task, "cancel", "cancel a task that is not final", kTaskId)->check(must_be_task_id);
  with_id(task, "retry", "bring a failed or timed-out task back under its ID", kTaskId)->check(must_be_task_id);

  config::Flags& logs = task.verb("logs", "print a task's log, of a running one too");
  logs.positional("id", o.id, kTaskId).required().check(must_be_task_id);
  logs.add("follow", o.follow, "go on until the task has ended").letter('f').only_flag();

  config::Flags& device = flags.verb("device", "list, show, drain, resume, remove");
  device.verb("list", "list the devices").add("role", o.role, "only devices of this role").value_name("ROLE");
  with_id(device, "show", "show one device", "the device's ID");

  constexpr const char* kDeviceId = "the device's ID";
  with_id(device, "drain", "give it nothing new; what it has not begun comes back", kDeviceId);
  with_id(device, "resume", "give it work again; ends a quarantine too", kDeviceId);
  with_id(device, "remove", "forget a device that is away", kDeviceId);

  config::Flags& queue = flags.verb("queue", "stats, pause, resume");
  queue.verb("stats", "count the tasks");
  const auto with_type = [&](const char* verb, const char* summary) {
    queue.verb(verb, summary)
        .add("type", o.type, "only tasks of this type")
        .value_name("TYPE")
        .check([](const std::string& text) {
          return is_task_type(text) ? std::nullopt : std::optional<std::string>("1 to 64 characters of a-z 0-9 _ . -");
        });
  };
  with_type("pause", "hand out no more tasks; what was not begun comes back");
  with_type("resume", "hand out tasks again");

  declare_plugin(flags, o.plugin);
}

Status print(const Options& o, const World& world, const std::vector<std::string>& verbs, Ask& ask) {
  const auto shown = [&](const Result<Json>& document, const auto& show) -> Status {
    if (!document.ok()) return document.error();
    o.session.json ? print_json(world, document.value()) : show(world, document.value());
    return ok_status();
  };
  const std::string& noun = verbs[0];
  const std::string& verb = verbs[1];
  if (noun == "queue" && verb != "stats") {
    const auto action = verb == "pause" ? QueueControl::Action::Pause : QueueControl::Action::Resume;
    return shown(ask.control(o.type.value_or(""), action), [](const World& to, const Json& answer) {
      to.out << (answer["type"].is_null() ? "the queue" : "tasks of type " + answer["type"].get<std::string>())
             << (answer["action"] == "pause" ? " paused\n" : " resumed\n");
    });
  }
  if (noun == "queue") {
    const Result<Json> statistics = ask.statistics();
    if (statistics.ok() && o.session.json) {
      print_json(world, statistics.value().value("queue_stats", Json::object()));
      return ok_status();
    }
    return shown(statistics, show_queue);
  }
  if (noun == "device" && verb == "show") return shown(ask.device(o.id), show_device);
  if (noun == "device" && verb != "list") {
    const auto action = verb == "drain"    ? DeviceControl::Action::Drain
                        : verb == "resume" ? DeviceControl::Action::Resume
                                           : DeviceControl::Action::Remove;
    return shown(ask.control(o.id, action), [](const World& to, const Json& answer) {
      const auto& done = answer["action"];
      to.out << "device " << answer["device_id"].get<std::string>()
             << (done == "drain"    ? " drains: it gets nothing new until it is resumed\n"
                 : done == "resume" ? " resumed\n"
                                    : " removed\n");
    });
  }
  if (noun == "device") {
    const Result<Json> devices = ask.devices();
    if (!devices.ok()) return devices.error();
    Json document = Json::object();
    document["devices"] = Json::array();
    for (const Json& one : devices.value()) {
      if (!o.role || one.value("role", "") == *o.role) document["devices"].push_back(one);
    }
    o.session.json ? print_json(world, document) : show_devices(world, document["devices"]);
    return ok_status();
  }
  if (verb == "list") {
    List query;
    if (o.status) query.status = parse_status(*o.status);
    query.type = o.type.value_or("");
    return shown(ask.tasks(query, o.limit), [&](const World& to, const Json& tasks) { show_tasks(to, tasks, query); });
  }
  const Result<TaskId> id = ask.id(o.id);
  if (!id.ok()) return id.error();
  if (verb == "show") return shown(ask.task(id.value()), show_task);
  if (verb == "logs") return print_logs(world, ask, id.value(), o.follow, o.session.json);
  if (verb == "why") return shown(ask.why(id.value()), show_why);
  if (verb == "retry") {
    return shown(ask.retry(id.value()), [](const World& to, const Json& answer) {
      to.out << "task " << answer["task_id"].get<std::string>()
             << (answer["retried"].get<bool>() ? " queued again\n"
                                               : " has not failed or timed out; nothing to retry\n");
    });
  }
  return shown(ask.cancel(id.value()), [](const World& to, const Json& answer) {
    const bool done = answer["cancelled"].get<bool>();
    to.out << "task " << answer["task_id"].get<std::string>()
           << (done ? " cancelled\n" : " was final already; nothing to cancel\n");
  });
}

}  // namespace

Exit run_tool(const std::vector<std::string>& arguments, const World& world) {
  if (!arguments.empty()) {
    const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
    if (const auto program = programs().find(arguments[0]); program != programs().end()) {
      return fail(world, kProgram, {ErrorCode::Io, world.become(program->second, rest)});
    }
    const auto not_yet = [&](const std::string& what) {
      return fail(world, kProgram, {ErrorCode::Invalid, what + " is not built yet (see " + kProgram + " --help)"});
    };
    if (arguments[0] == "http") return not_yet("http");
    for (const Later& later : kLater) {
      if (arguments.size() > 1 && arguments[0] == later.noun && arguments[1] == later.verb) {
        return not_yet(std::string(later.noun) + " " + later.verb);
      }
    }
    if (arguments[0] == "token") return not_yet("token");
  }
  Options o;
  config::Flags flags(kProgram, "Runs the parts of Retire-Cluster and looks after tasks, devices and the queue.");
  declare(flags, o);
  const Result<config::Parsed> parsed = flags.parse(arguments, world.environment);
  if (const auto status = config::ends_here(parsed, kProgram, world.out, world.err)) return static_cast<Exit>(*status);
  start_logging(kProgram, o.session, parsed.value());
  if (parsed.value().verbs.size() < 2) {
    return fail(
        world, kProgram,
        {ErrorCode::Invalid, "write the verb \"" + parsed.value().verbs[0] + "\" first, and its flags behind it"});
  }
  if (const auto& verbs = parsed.value().verbs; verbs[0] == "plugin") {
    return finish(world, kProgram, run_plugin(verbs[1], o.plugin, o.session.json, world));
  }
  const auto client = connect(world, kProgram, o.to, o.session);
  if (!client.ok()) return fail(world, kProgram, client.error());
  Ask ask(*client.value(), call_timeout(o.session));
  if (const Status status = print(o, world, parsed.value().verbs, ask); !status.ok()) {
    return fail(world, kProgram, status.error());
  }
  return finish(world, kProgram, Exit::Ok);
}

}  // namespace retire::cli
