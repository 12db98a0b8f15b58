#include "client/cli/show.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "client/cli/table.hpp"
#include "client/cli/text.hpp"

namespace retire::cli {
namespace {

using json::Json;

WallTime wall_now() { return SystemClock::now().wall; }

bool colours(const World& world) {
  return world.out_is_terminal && config::variable(world.environment, "NO_COLOR").empty();
}

// The field as text; "" if it is not there or null.
std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (!object.is_object() || found == object.end() || found->is_null()) return {};
  return found->is_string() ? found->get<std::string>() : json::to_text(*found);
}

std::uint64_t count(const Json& object, const char* key) {
  const auto found = object.find(key);
  return object.is_object() && found != object.end() && found->is_number() ? found->get<std::uint64_t>() : 0;
}

double number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return object.is_object() && found != object.end() && found->is_number() ? found->get<double>() : 0;
}

const Json& part(const Json& object, const char* key) {
  static const Json kNone = Json::object();
  const auto found = object.find(key);
  return object.is_object() && found != object.end() ? *found : kNone;
}

std::string joined(const Json& list) {
  std::string out;
  if (!list.is_array()) return out;
  for (const Json& one : list)
    out += (out.empty() ? "" : ", ") + (one.is_string() ? one.get<std::string>() : json::to_text(one));
  return out;
}

Colour status_colour(const std::string& status) {
  if (status == "success" || status == "online") return Colour::Green;
  if (status == "failed" || status == "timeout" || status == "offline" || status == "quarantined") return Colour::Red;
  if (status == "running" || status == "assigned") return Colour::Blue;
  if (status == "cancelled") return Colour::Grey;
  return Colour::Yellow;
}

// So much of each ID that no two look alike; all of it where a program may read it.
std::size_t id_columns(const World& world, const Json& tasks) {
  constexpr std::size_t kWhole = 36;
  constexpr std::size_t kLeast = 8;
  if (!world.out_is_terminal) return kWhole;
  std::vector<std::string> ids;
  for (const Json& task : tasks) ids.push_back(text(task, "task_id"));
  std::sort(ids.begin(), ids.end());
  std::size_t needed = kLeast;
  for (std::size_t i = 1; i < ids.size(); ++i) {
    const auto differs = std::mismatch(ids[i].begin(), ids[i].end(), ids[i - 1].begin(), ids[i - 1].end()).first;
    needed = std::max(needed, static_cast<std::size_t>(differs - ids[i].begin()) + 1);
  }
  return std::min(needed, kWhole);
}

std::string percent(double value) { return std::to_string(static_cast<int>(value + 0.5)) + " %"; }

// "42 %  reading page 7"
std::string progress_text(const Json& progress) {
  const std::string said = text(progress, "text");
  if (text(progress, "fraction").empty()) return said;
  return percent(100 * number(progress, "fraction")) + (said.empty() ? "" : "  " + said);
}

std::string gigabytes(double value) {
  std::string out = json::to_text(Json(static_cast<double>(static_cast<std::int64_t>(value * 10 + 0.5)) / 10));
  if (out.ends_with(".0")) out.resize(out.size() - 2);
  return out + " GB";
}

// "name      value" lines.
class Lines {
 public:
  explicit Lines(const World& world) : world_(world) {}
  void add(const std::string& name, const std::string& value, Colour colour = Colour::None) {
    if (value.empty()) return;
    constexpr std::size_t kNameColumns = 14;
    std::string label = name;
    label.resize(std::max(kNameColumns, name.size() + 2), ' ');
    world_.out << coloured(label, Colour::Bold, colours(world_)) << coloured(printable(value), colour, colours(world_))
               << "\n";
  }

 private:
  const World& world_;
};

// Why a device takes no work now, beside the table: most say nothing, and those that do say a sentence.
void show_reasons(const World& world, const Json& devices) {
  for (const Json& device : devices) {
    const std::string reason = text(device, "state_reason");
    if (reason.empty()) continue;
    world.out << text(device, "device_id") << " is " << text(device, "state") << ": " << printable(reason) << "\n";
  }
}

std::string verdict_detail(const Json& device) {
  std::string out = text(device, "state_reason");
  for (const Json& unmet : part(device, "unmet")) {
    const std::string requirement = text(unmet, "requirement");
    out += (out.empty() ? "needs " : "; needs ") + requirement + " " + text(unmet, "wanted") + ", has " +
           text(unmet, "has");
  }
  return out;
}

std::string counts(const Json& by_name) {
  std::string out;
  for (const auto& [name, value] : by_name.items()) {
    if (!value.is_number() || value.get<std::uint64_t>() == 0) continue;
    out += (out.empty() ? "" : " · ") + with_commas(value.get<std::uint64_t>()) + " " + name;
  }
  return out;
}

}  // namespace

void print_json(const World& world, const Json& document) {
  world.out << (world.out_is_terminal ? json::to_pretty_text(document) : json::to_text(document)) << "\n";
}

void show_tasks(const World& world, const Json& tasks, const List& asked) {
  const Json& list = part(tasks, "tasks");
  if (list.empty() && (asked.status || !asked.type.empty())) {
    world.out << "No task" << (asked.type.empty() ? "" : " of type " + asked.type)
              << (asked.status ? " has the status " + std::string(to_string(*asked.status)) : "") << ".\n";
    return;
  }
  if (list.empty()) {
    world.out << "No tasks. Submit one with: retire-cluster-submit echo '{\"message\": \"hi\"}'\n";
    return;
  }
  Table table(
      {{"TASK"}, {"TYPE"}, {"PRIORITY"}, {"STATUS"}, {"REASON"}, {"DEVICE"}, {"RETRIES", true}, {"CREATED", true}});
  const std::size_t width = id_columns(world, list);
  for (const Json& task : list) {
    const std::string status = text(task, "status");
    table.add({{text(task, "task_id").substr(0, width)},
               {text(task, "task_type")},
               {text(task, "priority")},
               {status, status_colour(status)},
               {task.contains("progress") ? progress_text(part(task, "progress")) : text(task, "reason")},
               {text(task, "assigned_device_id")},
               {text(task, "retry_count")},
               {ago(text(task, "created_at"), wall_now())}});
  }
  table.print(world.out, world.width, colours(world));
  if (!part(tasks, "next_cursor").is_null() && tasks.contains("next_cursor")) {
    world.out << "There are more: raise --limit " << list.size() << ".\n";
  }
}

void show_task(const World& world, const Json& task) {
  Lines lines(world);
  const std::string status = text(task, "status");
  lines.add("task", text(task, "task_id"));
  lines.add("type", text(task, "task_type"));
  lines.add("status", status, status_colour(status));
  lines.add("reason", text(task, "reason"));
  lines.add("priority", text(task, "priority"));
  lines.add("group", text(task, "group"));
  lines.add("device", text(task, "assigned_device_id"));
  lines.add("retries", text(task, "retry_count"));
  if (const Json& progress = part(task, "progress"); !progress.empty()) {
    lines.add("progress", progress_text(progress) + "  (" + ago(text(progress, "at"), wall_now()) + ")");
  }
  for (const char* key : {"created_at", "assigned_at", "started_at", "completed_at"}) {
    const std::string time = text(task, key);
    const std::string name = std::string(key).substr(0, std::string_view(key).find('_'));
    if (!time.empty()) lines.add(name, time + "  (" + ago(time, wall_now()) + ")");
  }
  lines.add("payload", text(task, "payload"));
  if (!part(task, "metadata").empty()) lines.add("metadata", text(task, "metadata"));
  for (const auto& [key, value] : part(task, "requirements").items()) {
    // Those that ask for nothing say nothing.
    const bool nothing =
        value.is_null() || value == 0 || value == false || value == "" || (value.is_structured() && value.empty());
    if (nothing) continue;
    const bool limit = key == "timeout_seconds" || key == "max_retries";  // holds for every device
    lines.add(limit ? "limit" : "needs",
              key + " " + (value.is_string() ? value.get<std::string>() : json::to_text(value)));
  }
  const Json& result = part(task, "result");
  if (result.is_object() && !result.empty()) {
    lines.add("ran", short_duration(number(result, "execution_time_seconds")));
    lines.add("plugin", text(result, "plugin"));
    lines.add("result", text(result, "result_data"));
    lines.add("error", text(result, "error_message"), Colour::Red);
    if (const std::string traceback = text(result, "error_traceback"); !traceback.empty()) {
      lines.add("traceback", "below");
      std::string line;
      for (const char c : traceback + "\n") {
        if (c != '\n') {
          line += c;
          continue;
        }
        world.out << "  " << printable(line) << "\n";
        line.clear();
      }
    }
    for (const Json& line : part(result, "logs")) {
      lines.add("log", text(line, "time") + " s  " + text(line, "level") + "  " + text(line, "message"));
    }
  }
  for (const Json& error : part(task, "error_history")) {
    lines.add("attempt " + text(error, "attempt"),
              text(error, "outcome") + " on " + text(error, "device_id") + "  " + text(error, "error_message"),
              Colour::Red);
  }
}

void show_why(const World& world, const Json& explanation) {
  const std::string status = text(explanation, "status");
  const std::string id = text(explanation, "task_id");
  std::string line = (id.empty() ? std::string("such a task") : "task " + id) + " is " +
                     coloured(status, status_colour(status), colours(world));
  if (const std::string reason = text(explanation, "reason"); !reason.empty()) line += ", reason " + printable(reason);
  if (const std::string position = text(explanation, "position"); !position.empty())
    line += ", number " + position + " in line";
  world.out << line << "\n";
  Table table({{"DEVICE"}, {"VERDICT"}, {"WHY"}});
  for (const Json& device : part(explanation, "devices")) {
    const std::string verdict = text(device, "verdict");
    const bool runs = verdict == "runs_it" || verdict == "can_run";
    const bool busy = verdict == "busy" || verdict == "failed_there" || verdict == "draining" || verdict == "paused";
    table.add({{text(device, "device_id")},
               {verdict, runs   ? Colour::Green
                         : busy ? Colour::Yellow
                                : Colour::Red},
               {verdict_detail(device)}});
  }
  if (table.empty()) {
    world.out << "No devices. Start one with: retire-cluster-worker --join HOST:PORT\n";
  } else {
    table.print(world.out, 0, colours(world));  // never cut: the reasons are what was asked for
  }
  if (const std::string nearest = text(explanation, "nearest"); !nearest.empty()) {
    world.out << "Nearest: " << printable(nearest) << "\n";
  }
}

void show_devices(const World& world, const Json& devices) {
  if (devices.empty()) {
    world.out << "No devices online. Start one with: retire-cluster-worker --join HOST:PORT\n";
    return;
  }
  Table table({{"DEVICE"},
               {"STATE"},
               {"ROLE"},
               {"PLATFORM"},
               {"CPUS", true},
               {"MEMORY", true},
               {"SLOTS", true},
               {"DONE", true},
               {"FAILED", true},
               {"SEEN", true},
               {"TAGS"}});
  for (const Json& device : devices) {
    const std::string state = text(device, "state");
    table.add({{text(device, "device_id")},
               {state, status_colour(state)},
               {text(device, "role")},
               {text(device, "platform") + "/" + text(device, "arch")},
               {text(device, "cpu_count")},
               {gigabytes(number(device, "memory_total_gb"))},
               {text(device, "load") + "/" + text(device, "slots")},
               {with_commas(count(device, "attempts_succeeded"))},
               {with_commas(count(device, "attempts_failed") + count(device, "attempts_lost"))},
               {ago(text(device, "last_seen"), wall_now())},
               {joined(part(device, "tags"))}});
  }
  table.print(world.out, world.width, colours(world));
  show_reasons(world, devices);
}

void show_device(const World& world, const Json& device) {
  Lines lines(world);
  const std::string state = text(device, "state");
  lines.add("device", text(device, "device_id"));
  lines.add("state", state, status_colour(state));
  lines.add("reason", text(device, "state_reason"));
  lines.add("role", text(device, "role"));
  lines.add("platform", text(device, "platform") + "/" + text(device, "arch"));
  lines.add("version", text(device, "version"));
  lines.add("cpus", text(device, "cpu_count"));
  lines.add("memory", gigabytes(number(device, "memory_total_gb")));
  lines.add("storage", gigabytes(number(device, "storage_total_gb")));
  lines.add("gpu", text(device, "has_gpu") == "true" ? "yes" : "no");
  lines.add("internet", text(device, "has_internet") == "true" ? "yes" : "no");
  lines.add("isolation", text(device, "isolation"));
  lines.add("tags", joined(part(device, "tags")));
  lines.add("handlers", joined(part(device, "handlers")));
  for (const auto& [name, amount] : part(device, "resources").items())
    lines.add("resource", name + " " + json::to_text(amount));
  lines.add("slots", text(device, "load") + " of " + text(device, "slots") + " in use");
  lines.add("system load", text(device, "system_load"));
  lines.add("attempts", with_commas(count(device, "attempts_succeeded")) + " succeeded, " +
                            with_commas(count(device, "attempts_failed")) + " failed, " +
                            with_commas(count(device, "attempts_lost")) + " lost");
  lines.add("last seen", ago(text(device, "last_seen"), wall_now()));
  for (const Json& plugin : part(device, "plugins")) {
    lines.add("plugin", plugin.is_string() ? plugin.get<std::string>() : json::to_text(plugin));
  }
  for (const Json& refused : part(device, "refused_plugins")) {
    lines.add("refused", refused.is_string() ? refused.get<std::string>() : json::to_text(refused), Colour::Red);
  }
}

void show_queue(const World& world, const Json& statistics) {
  const Json& queue = part(statistics, "queue_stats");
  Lines lines(world);
  lines.add("tasks", with_commas(count(queue, "total_tasks")));
  for (const auto& [title, key] : {std::pair{"by status", "by_status"},
                                   {"by priority", "by_priority"},
                                   {"by type", "by_type"},
                                   {"by device", "by_device"}}) {
    lines.add(title, counts(part(queue, key)));
  }
  const Json& scheduler = part(statistics, "scheduler_stats");
  lines.add("since start", with_commas(count(scheduler, "tasks_scheduled")) + " attempts scheduled, " +
                               with_commas(count(scheduler, "tasks_completed")) + " completed, " +
                               with_commas(count(scheduler, "tasks_failed")) + " failed, " +
                               with_commas(count(scheduler, "tasks_retried")) + " retried");
  lines.add("lost", with_commas(count(scheduler, "attempts_lost")) + " attempts, " +
                        with_commas(count(scheduler, "leases_expired")) + " times a device's lease, " +
                        with_commas(count(scheduler, "results_stale")) + " late results refused");
}

void show_overview(const World& world, const std::string& address, const Json& statistics, const Json& devices,
                   const Json& queued) {
  const Json& cluster = part(statistics, "cluster_stats");
  const Json& queue = part(statistics, "queue_stats");
  Lines lines(world);
  lines.add("main", address + ", up " + short_duration(number(part(statistics, "scheduler_stats"), "uptime_seconds")));
  lines.add("devices", with_commas(count(cluster, "online_devices")) + " online of " +
                           with_commas(count(cluster, "total_devices")));
  lines.add("slots", with_commas(count(cluster, "total_load")) + " of " +
                         with_commas(count(cluster, "total_capacity")) + " in use (" +
                         percent(number(cluster, "cluster_utilization")) + ")");
  const std::string by_status = counts(part(queue, "by_status"));
  lines.add("tasks", by_status.empty() ? "none" : by_status);

  std::map<std::string, std::uint64_t> reasons;
  for (const Json& task : part(queued, "tasks")) {
    const std::string reason = text(task, "reason");
    if (!reason.empty()) ++reasons[reason];
  }
  std::string waiting;
  for (const auto& [reason, number_of] : reasons) {
    waiting += (waiting.empty() ? "" : " · ") + with_commas(number_of) + " " + reason;
  }
  if (!waiting.empty()) {
    const std::uint64_t all = count(part(queue, "by_status"), "queued");
    const std::uint64_t looked_at = part(queued, "tasks").size();
    lines.add("waiting for", waiting + (all > looked_at ? "  (of the newest " + with_commas(looked_at) + ")" : ""));
  }
  if (count(cluster, "online_devices") == 0) {
    world.out << "\nNo devices online. Start one with: retire-cluster-worker --join HOST:PORT\n";
  }
  if (!devices.empty()) {
    world.out << "\n";
    show_devices(world, devices);
  }
}

}  // namespace retire::cli
