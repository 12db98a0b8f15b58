#include "client/cli/submission.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "client/cli/session.hpp"
#include "client/cli/text.hpp"
#include "common/json/json.hpp"
#include "common/json/report_json.hpp"

namespace retire::cli {
namespace {

// The window: enough to keep main busy, little enough to stay small.
constexpr std::size_t kEntriesMax = 16'384;
constexpr std::size_t kBytesMax = std::size_t{64} << 20;
constexpr Duration kTurn =
    std::chrono::milliseconds(100);  // how often the progress bar and the time limit are looked at
constexpr std::uint64_t kComplaintsMax = 10;

std::string_view ending(TaskStatus status) {
  if (status == TaskStatus::Cancelled) return "was cancelled";
  return status == TaskStatus::Timeout ? "ran out of time" : "failed";
}

TimePoint now() { return SystemClock::now().monotonic; }

}  // namespace

Submission::Submission(const World& world, client::Client& client, TaskSource& source, SubmissionOptions options)
    : world_(world),
      client_(client),
      source_(source),
      options_(std::move(options)),
      started_(now()),
      bar_(options_.progress && world.err_is_terminal ? &world.err : nullptr, started_) {}

config::Exit Submission::run() {
  while (!is_done()) {
    if (time_is_over(now())) {
      error_ =
          Error{ErrorCode::TimedOut,
                "timed out after " + short_duration(to_seconds(*options_.wait_timeout)) + " waiting for " +
                    (entries_.size() == 1 ? "task " + entries_.front().id.text() : plural(entries_.size(), "task")) +
                    "; it goes on: look with retire-cluster-status --task ID, or give a longer --wait-timeout"};
      break;
    }
    fill();
    // With room left there is more to read: look for answers, but do not wait for any.
    const bool more = !source_ended_ && !give_up_ && has_room();
    const Result<bool> told = client_.poll(more ? Duration::zero() : kTurn, *this);
    if (!told.ok()) {
      error_ = told.error();
      break;
    }
    print_ready();
    bar_.update(now(), acknowledged_, options_.wait ? std::optional(finished_) : std::nullopt, source_.progress());
    if (!world_.out) break;
  }
  return end();
}

bool Submission::has_room() const {
  return entries_.size() < kEntriesMax && text_bytes_ < kBytesMax && client_.unacknowledged_bytes() < kBytesMax;
}

// Reads and posts, a batch or two at a time.
void Submission::fill() {
  constexpr int kAtOnce = 1'024;
  for (int i = 0; i < kAtOnce && !source_ended_ && !give_up_ && has_room(); ++i) {
    const Result<const json::TaskObject*> next = source_.next();
    if (!next.ok()) {
      error_ = next.error();
      give_up_ = true;
      return;
    }
    const json::TaskObject* task = next.value();
    if (task == nullptr) {
      source_ended_ = true;
      return;
    }
    Entry& entry = entries_.emplace_back();
    entry.line = source_.line();
    entry.id = client_.post(task->spec, task->payload, task->metadata, task->id);
    by_id_.emplace(entry.id, first_ + entries_.size() - 1);
  }
}

bool Submission::is_done() const {
  // After an error only what is on its way is waited for, so that it is known what was submitted.
  if (give_up_) return client_.unacknowledged() == 0;
  return source_ended_ && entries_.empty();
}

bool Submission::time_is_over(TimePoint moment) const {
  return options_.wait_timeout && moment - started_ >= *options_.wait_timeout;
}

void Submission::on_submitted(std::span<const TaskId> tasks) {
  acknowledged_ += tasks.size();
  for (const TaskId& task : tasks) {
    const auto [from, to] = by_id_.equal_range(task);
    // An ID may stand in the source twice: the earlier one is acknowledged first.
    std::optional<std::uint64_t> first;
    for (auto at = from; at != to; ++at) {
      if (!entry_of(at->second).acknowledged && (!first || at->second < *first)) first = at->second;
    }
    if (first) entry_of(*first).acknowledged = true;
  }
}

void Submission::on_refused(std::span<const TaskId> tasks, const Error& error, std::optional<std::uint64_t> index) {
  give_up_ = true;
  const std::size_t blamed = index && *index < tasks.size() ? static_cast<std::size_t>(*index) : 0;
  const auto found = by_id_.find(tasks[blamed]);
  std::string where;
  if (found != by_id_.end() && entry_of(found->second).line > 0) {
    where = "line " + std::to_string(entry_of(found->second).line) + ": ";
  }
  if (!error_) error_ = Error{error.code, where + error.detail};
}

void Submission::on_result(const ResultItem& item, std::string_view device) {
  const json::Json result = json::result_document(item, device);
  const std::string line = json::to_text(options_.json ? result : result["result_data"]);
  if (item.status != TaskStatus::Success) {
    ++unsuccessful_;
    std::string message = "task " + item.id.text() + " " + std::string(ending(item.status));
    if (!item.error_message.empty()) message += ": " + std::string(item.error_message);
    complain(message);
  }
  finish_entries(item.id, item.status == TaskStatus::Success || options_.json || options_.many ? line : std::string());
}

void Submission::on_lost(const TaskId& task) {
  const std::string why =
      "main does not know task " + task.text() + " any more; it restarted and keeps nothing: submit it again";
  if (!error_) error_ = Error{ErrorCode::NotFound, why};
  finish_entries(task, options_.many ? "null" : "");
}

void Submission::finish_entries(const TaskId& task, const std::string& text) {
  const auto [from, to] = by_id_.equal_range(task);
  for (auto at = from; at != to; ++at) {
    Entry& entry = entry_of(at->second);
    if (entry.finished) continue;
    entry.finished = true;
    entry.text = text;
    text_bytes_ += text.size();
    ++finished_;
  }
}

// What is ready at the front, in order.
void Submission::print_ready() {
  while (!entries_.empty()) {
    Entry& entry = entries_.front();
    if (!entry.acknowledged || (options_.wait && !entry.finished)) break;
    if (options_.wait) {
      if (!entry.text.empty()) print_one(entry.text);
    } else if (options_.json) {
      print_one("{\"task_id\":\"" + entry.id.text() + "\",\"status\":\"queued\"}");
    } else {
      print_one(entry.id.text());
    }
    text_bytes_ -= entry.text.size();
    const auto [from, to] = by_id_.equal_range(entry.id);
    for (auto at = from; at != to; ++at) {
      if (at->second != first_) continue;
      by_id_.erase(at);
      break;
    }
    entries_.pop_front();
    ++first_;
  }
  if (options_.wait) world_.out.flush();
}

void Submission::print_one(const std::string& text) {
  if (world_.out_is_terminal) bar_.clear();
  // IDs of many tasks are one document: a list.
  if (options_.json && options_.many && !options_.wait) world_.out << (printed_ == 0 ? "[" : ",\n");
  world_.out << text;
  if (!(options_.json && options_.many && !options_.wait)) world_.out << '\n';
  ++printed_;
}

void Submission::complain(const std::string& line) {
  if (++complaints_ > kComplaintsMax) return;
  bar_.clear();
  world_.out.flush();
  world_.err << options_.program << ": " << printable(line) << std::endl;
}

config::Exit Submission::end() {
  print_ready();
  // What was accepted is said, even if something before it was not.
  if (give_up_ && !options_.wait) {
    for (const Entry& entry : entries_) {
      if (!entry.acknowledged) continue;
      print_one(options_.json ? "{\"task_id\":\"" + entry.id.text() + "\",\"status\":\"queued\"}" : entry.id.text());
    }
  }
  if (options_.json && options_.many && !options_.wait) world_.out << (printed_ == 0 ? "[]\n" : "]\n");
  bar_.clear();
  if (complaints_ > kComplaintsMax) {
    world_.err << options_.program << ": " << with_commas(complaints_ - kComplaintsMax)
               << " more tasks did not end in success" << std::endl;
  }
  if (error_) return fail(world_, options_.program, *error_);
  return finish(world_, options_.program, unsuccessful_ > 0 ? config::Exit::Failed : config::Exit::Ok);
}

}  // namespace retire::cli
