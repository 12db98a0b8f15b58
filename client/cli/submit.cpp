// retire-cluster-submit
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "client/cli/ask.hpp"
#include "client/cli/programs.hpp"
#include "client/cli/session.hpp"
#include "client/cli/show.hpp"
#include "client/cli/submission.hpp"
#include "client/cli/task_source.hpp"
#include "common/json/json.hpp"
#include "common/model/limits.hpp"

namespace retire::cli {
namespace {

constexpr const char* kProgram = "retire-cluster-submit";

struct Options {
  SessionOptions session;
  std::string to;
  std::string type;
  std::optional<std::string> payload;
  std::string priority = "normal";
  std::string group;
  Requirements requirements;
  std::optional<std::string> task_id;
  std::uint64_t count = 1;
  std::string file;
  bool dry_run = false;
  bool wait = false;
  std::optional<double> wait_timeout;
};

std::optional<std::string> must_be_task_type(const std::string& text) {
  if (is_task_type(text)) return std::nullopt;
  return "1 to 64 characters of a-z 0-9 _ . -, such as echo";
}

std::optional<std::string> must_be_uuid(const std::string& text) {
  const auto id = TaskId::parse(text);
  if (id && *id) return std::nullopt;
  return "a UUID such as 123e4567-e89b-12d3-a456-426614174000";
}

void declare(config::Flags& flags, Options& o) {
  Requirements& r = o.requirements;
  flags.positional("type", o.type, "task type, e.g. echo").check(must_be_task_type);
  flags.positional("payload-json", o.payload, "what the handler gets, as JSON (default: {})");
  flags.add("to", o.to, "where main is")
      .value_name("ADDRESS")
      .check(must_be_address)
      .default_text("$RETIRE_CLUSTER_ADDRESS, else 127.0.0.1:8080");
  flags.add("priority", o.priority, "higher goes first").one_of({"low", "normal", "high", "urgent"});
  flags.add("group", o.group, "groups take turns").value_name("NAME");
  flags.add("min-cpu-cores", r.min_cpu_cores, "cores that the device must have").range(0, kCpuCoresMax);
  flags.add("min-memory-gb", r.min_memory_gb, "memory that the device must have").range(0, kQuantityMax);
  flags.add("min-storage-gb", r.min_storage_gb, "storage that the device must have").range(0, kQuantityMax);
  flags.add("gpu", r.gpu_required, "the device must have a GPU");
  flags.add("internet", r.internet_required, "the device must reach the internet");
  flags.add("platform", r.required_platform, "linux, windows, android or darwin").value_name("NAME");
  flags.add("role", r.required_role, "role of the device").value_name("NAME");
  flags.add("tag", r.required_tags, "tag that the device must have").value_name("TAG");
  flags.add("timeout", r.timeout_seconds, "longest run of one attempt")
      .value_name("SECONDS")
      .range(kTimeoutSecondsMin, kTimeoutSecondsMax);
  flags.add("max-retries", r.max_retries, "further attempts after one that failed").range(0, kRetriesMax);
  flags.add("task-id", o.task_id, "choose the ID; submitting the same again changes nothing")
      .value_name("UUID")
      .check(must_be_uuid);
  flags.add("count", o.count, "submit the same task so many times").range(1, 1e15);
  flags.add("file", o.file, "submit a task for each line of JSON in FILE, - for stdin").value_name("FILE");
  flags.add("dry-run", o.dry_run, "submit nothing; say which devices could run it, and why others could not");
  flags.add("wait", o.wait, "wait for the results and print them in place of the IDs");
  flags.add("wait-timeout", o.wait_timeout, "how long to wait").value_name("SECONDS").range(0, kTimeoutSecondsMax);
  add_session_flags(flags, o.session);
}

Error usage(const std::string& why) { return {ErrorCode::Invalid, why}; }

// What goes together and what does not.
Status check_together(const Options& o, const config::Parsed& parsed) {
  const auto flag = [&](const char* name) { return parsed.source(name) == config::Source::Flag; };
  if (flag("wait-timeout") && !o.wait) return usage("--wait-timeout needs --wait");
  if (o.dry_run && (o.wait || !o.file.empty())) {
    return usage(std::string("--dry-run with ") + (o.wait ? "--wait" : "--file") +
                 ": it asks about one task; leave it out");
  }
  if (o.file.empty()) {
    if (o.type.empty()) return usage("TYPE is missing; e.g. retire-cluster-submit echo '{\"message\": \"hi\"}'");
    if (o.count > 1 && o.task_id) {
      return usage("--task-id " + *o.task_id + " with --count " + std::to_string(o.count) +
                   ": each task needs an ID of its own; leave one out");
    }
    return ok_status();
  }
  if (!o.type.empty()) {
    return usage("\"" + o.type + "\" with --file: each line names its own task_type; leave the argument out");
  }
  for (const char* name : {"priority", "group", "min-cpu-cores", "min-memory-gb", "min-storage-gb", "gpu", "internet",
                           "platform", "role", "tag", "timeout", "max-retries", "task-id", "count"}) {
    if (flag(name)) return usage("--" + std::string(name) + " with --file: write it into each line instead");
  }
  return ok_status();
}

Result<json::TaskObject> make_task(const Options& o) {
  json::TaskObject task;
  task.spec.type = o.type;
  task.spec.priority = *parse_priority(o.priority);
  task.spec.group = o.group;
  task.spec.requirements = o.requirements;
  if (o.task_id) task.id = TaskId::parse(*o.task_id);
  if (const Status status = normalize(task.spec.requirements); !status.ok()) return status.error();
  if (const Status status = validate(task.spec); !status.ok()) return status.error();
  if (const Status status = json::msgpack_from_json(o.payload.value_or("{}"), task.payload); !status.ok()) {
    return usage("PAYLOAD-JSON is not JSON: " + status.error().detail + "; quote it, e.g. '{\"message\": \"hi\"}'");
  }
  if (task.payload.size() > kPayloadBytesMax) {
    return Error{ErrorCode::TooLarge, "the payload is " + std::to_string(task.payload.size()) +
                                          " bytes as msgpack; at most 16777216 (16 MiB) are allowed"};
  }
  return task;
}

Exit submit(const Options& o, TaskSource& source, const World& world) {
  const auto client = connect(world, kProgram, o.to, o.session, o.wait);
  if (!client.ok()) return fail(world, kProgram, client.error());
  SubmissionOptions options;
  options.program = kProgram;
  options.wait = o.wait;
  if (o.wait && o.wait_timeout) options.wait_timeout = from_seconds(*o.wait_timeout);
  options.json = o.session.json;
  options.many = !o.file.empty() || o.count > 1;
  options.progress = options.many;
  return Submission(world, *client.value(), source, options).run();
}

Exit dry_run(const Options& o, const TaskSpec& spec, const World& world) {
  const auto client = connect(world, kProgram, o.to, o.session);
  if (!client.ok()) return fail(world, kProgram, client.error());
  const Result<json::Json> explanation = Ask(*client.value(), call_timeout(o.session)).why(spec);
  if (!explanation.ok()) return fail(world, kProgram, explanation.error());
  o.session.json ? print_json(world, explanation.value()) : show_why(world, explanation.value());
  return finish(world, kProgram, Exit::Ok);
}

Exit submit_file(const Options& o, const World& world) {
  if (o.file == "-") {
    TaskLines lines(world.in, 0);
    return submit(o, lines, world);
  }
  std::error_code error;
  const bool is_directory = std::filesystem::is_directory(o.file, error);
  std::ifstream in(o.file, std::ios::binary);
  if (!in || is_directory) {
    return fail(world, kProgram,
                usage("--file " + o.file + " cannot be read; give a file of JSON lines, or - for stdin"));
  }
  const auto size = std::filesystem::is_regular_file(o.file, error) ? std::filesystem::file_size(o.file, error) : 0;
  TaskLines lines(in, error ? 0 : size);
  return submit(o, lines, world);
}

}  // namespace

Exit run_submit(const std::vector<std::string>& arguments, const World& world) {
  Options o;
  config::Flags flags(kProgram, "Submits tasks to the cluster and prints their IDs, or with --wait their results.");
  declare(flags, o);
  const Result<config::Parsed> parsed = flags.parse(arguments, world.environment);
  if (const auto status = config::ends_here(parsed, kProgram, world.out, world.err)) return static_cast<Exit>(*status);
  start_logging(kProgram, o.session, parsed.value());
  if (const Status status = check_together(o, parsed.value()); !status.ok()) {
    return fail(world, kProgram, status.error());
  }
  if (!o.file.empty()) return submit_file(o, world);
  Result<json::TaskObject> task = make_task(o);
  if (!task.ok()) return fail(world, kProgram, task.error());
  if (o.dry_run) return dry_run(o, task.value().spec, world);
  RepeatedTask source(std::move(task).value(), o.count);
  return submit(o, source, world);
}

}  // namespace retire::cli
