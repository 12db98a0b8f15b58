#include "client/cli/logs.hpp"

#include <nlohmann/json.hpp>

#include "client/cli/show.hpp"
#include "client/cli/text.hpp"
#include "common/json/report_json.hpp"

namespace retire::cli {
namespace {

using json::Json;

// A worker tells of a running attempt about four times a second; asking more often shows nothing sooner.
constexpr Duration kAskEach = std::chrono::milliseconds(250);

// How much of which attempt's log has been printed.
struct Seen {
  std::uint32_t attempt = 0;
  std::uint64_t lines = 0;  // missed ones counted
};

void print_line(const World& world, const Json& line, std::uint32_t attempt, bool json) {
  if (json) {
    Json out = Json::object();
    out["attempt"] = attempt;
    out.update(line);
    world.out << json::to_text(out) << "\n";
    return;
  }
  world.out << json::to_text(line["time"]) << " s  " << line["level"].get<std::string>() << "  "
            << printable(line["message"].is_string() ? line["message"].get<std::string>() : "") << "\n";
}

void begin_attempt(const World& world, Seen& seen, std::uint32_t attempt) {
  if (attempt == seen.attempt) return;
  if (seen.attempt != 0) world.err << "attempt " << attempt << "\n";
  seen = {attempt, 0};
}

// The lines of a final task that were not printed yet.
Status print_rest(const World& world, Ask& ask, const TaskId& id, Seen& seen, std::uint32_t attempt, bool json) {
  const Result<Json> task = ask.task(id);
  if (!task.ok()) return task.error();
  begin_attempt(world, seen, attempt);
  if (!task.value()["result"].is_object()) return ok_status();
  const Json& lines = task.value()["result"]["logs"];
  for (std::size_t i = seen.lines; i < lines.size(); ++i) print_line(world, lines[i], attempt, json);
  return ok_status();
}

Status print_once(const World& world, Ask& ask, const TaskId& id) {
  const Result<client::LogPage> page = ask.logs(id, 0);
  if (!page.ok()) return page.error();
  Json document = Json::object();
  document["task_id"] = id.text();
  document["status"] = std::string(to_string(page.value().status));
  document["attempt"] = page.value().attempt;
  document["logs"] = json::log_document(page.value().lines);
  if (is_final(page.value().status)) {
    const Result<Json> task = ask.task(id);
    if (!task.ok()) return task.error();
    const Json& result = task.value()["result"];
    document["logs"] = result.is_object() ? result["logs"] : Json::array();
  }
  print_json(world, document);
  return ok_status();
}

}  // namespace

Status print_logs(const World& world, Ask& ask, const TaskId& id, bool follow, bool json) {
  if (json && !follow) return print_once(world, ask, id);
  Seen seen;
  std::uint64_t cursor = 0;
  for (;;) {
    const Result<client::LogPage> page = ask.logs(id, cursor);
    if (!page.ok()) return page.error();
    if (is_final(page.value().status)) return print_rest(world, ask, id, seen, page.value().attempt, json);
    if (page.value().attempt != 0) begin_attempt(world, seen, page.value().attempt);
    if (page.value().missed > 0) world.err << plural(page.value().missed, "line") << " missed\n";
    const Json lines = json::log_document(page.value().lines);
    for (const Json& line : lines) print_line(world, line, page.value().attempt, json);
    seen.lines += page.value().missed + lines.size();
    cursor = page.value().next;
    world.out.flush();
    if (!follow || !world.out || !world.pause(kAskEach)) return ok_status();
  }
}

}  // namespace retire::cli
