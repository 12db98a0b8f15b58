// Records to put into a store, and a model of what must come out of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "broker/store/store.hpp"

namespace retire::store {

inline TaskId id_of(std::uint64_t n) { return TaskId::random(n * 0x9e3779b97f4a7c15 + 1, ~n); }

inline const TaskSpec& spec_of(std::uint64_t n) {
  static const std::vector<TaskSpec> specs = [] {
    std::vector<TaskSpec> out;
    for (int i = 0; i < 40; ++i) {
      TaskSpec& spec = out.emplace_back();
      spec.type = "type" + std::to_string(i);
      spec.priority = static_cast<Priority>(1 + i % 4);
      spec.group = i % 2 == 0 ? "" : "group" + std::to_string(i);
      spec.requirements.required_tags = {"a", "b" + std::to_string(i)};
      spec.requirements.resources = {{"gpu_memory", 0.5 * i}};
      spec.requirements.required_platform = "linux";
      spec.requirements.min_memory_gb = i / 8.0;
      spec.requirements.at_most_once = i % 3 == 0;
      spec.requirements.max_retries = static_cast<std::uint32_t>(i);
    }
    return out;
  }();
  return specs[n % specs.size()];
}

// What a record says, in one string: two that say the same are equal.
inline std::string text_of(const Record& record) {
  const TaskReport& task = record.task;
  const auto time = [](WallTime at) { return std::to_string(at.time_since_epoch().count()); };
  std::string out = std::to_string(static_cast<int>(record.kind)) + "|" + task.id.text() + "|";
  if (record.kind == Record::Kind::Submitted) {
    const Requirements& needs = task.spec->requirements;
    out += task.spec->type + "|" + task.spec->group + "|" + std::to_string(static_cast<int>(task.spec->priority)) +
           "|" + std::to_string(needs.max_retries) + needs.required_tags.back() + needs.resources.back().first +
           std::to_string(needs.resources.back().second) + std::to_string(needs.min_memory_gb) +
           (needs.at_most_once ? "once" : "") + "|" + std::string(task.metadata) + "|" + std::string(*task.payload) +
           "|" + time(task.created_at) + "|" + std::to_string(record.sequence);
    return out;
  }
  out += std::to_string(record.failures) + "|" + std::to_string(record.lost) + "|" + time(record.due) + "|" +
         std::string(task.device_id) + "|" + std::to_string(record.attempt.value()) + "|" + time(task.assigned_at);
  if (record.kind == Record::Kind::Ended) {
    out += "|" + std::to_string(static_cast<int>(task.status)) + std::string(task.reason) + "|" +
           (task.result_data ? "data:" + std::string(*task.result_data) : "none") + "|" +
           std::string(task.error_message) + "|" + std::string(task.traceback) + "|" + std::string(task.logs) + "|" +
           time(task.started_at) + time(task.completed_at) + std::to_string(task.run.count());
  }
  if (task.error_history != nullptr) {
    for (const AttemptError& error : *task.error_history) {
      out += "|" + std::to_string(error.attempt) + error.device_id + error.message +
             std::to_string(static_cast<int>(error.outcome)) + (error.lost ? "lost" : "") + time(error.at);
    }
  }
  return out + "|" + std::string(record.device) + "|" + std::string(task.checkpoint) + "|" + std::string(task.plugin);
}

// Makes records; what they view lives as long as this.
class Maker {
 public:
  Record submitted(std::uint64_t n, std::size_t payload_bytes = 64) {
    Record record;
    record.kind = Record::Kind::Submitted;
    record.task.id = id_of(n);
    record.task.spec = &spec_of(n);
    payload_.assign(payload_bytes, static_cast<char>('a' + n % 26));
    payload_ += std::to_string(n);
    record.task.payload = payload_;
    metadata_ = n % 5 == 0 ? "meta" + std::to_string(n) : "";
    record.task.metadata = metadata_;
    record.task.created_at = WallTime(Duration(1'000'000 + static_cast<std::int64_t>(n)));
    record.sequence = n + 1;
    return record;
  }
  Record of(Record::Kind kind, std::uint64_t n, Position submitted) {
    Record record;
    record.kind = kind;
    record.task.id = id_of(n);
    record.of = submitted;
    return record;
  }
  Record ended(std::uint64_t n, Position submitted, std::size_t result_bytes = 32) {
    Record record = of(Record::Kind::Ended, n, submitted);
    record.task.status = n % 7 == 0 ? TaskStatus::Failed : TaskStatus::Success;
    result_.assign(result_bytes, static_cast<char>('A' + n % 26));
    if (n % 7 != 0) record.task.result_data = result_;
    record.task.error_message = n % 7 == 0 ? "it failed" : "";
    record.task.reason = n % 7 == 0 ? "retries_exhausted" : "";
    if (n % 3 != 0) record.task.plugin = "echo 0.1.0 sha256:0f";
    record.task.device_id = "device-1";
    record.task.completed_at = WallTime(Duration(77));
    record.task.run = Duration(1234);
    record.failures = static_cast<std::uint32_t>(n % 3);
    return record;
  }
  Record retried(std::uint64_t n, Position submitted) {
    Record record = of(Record::Kind::Retried, n, submitted);
    errors_ = {{1, "device-2", Outcome::Crashed, false, "signal 11", WallTime(Duration(5))},
               {2, "", Outcome::Failed, true, "", WallTime(Duration(6))}};
    record.task.error_history = &errors_;
    record.failures = 1;
    record.lost = 1;
    record.due = WallTime(Duration(99));
    checkpoint_ = n % 2 == 0 ? "step " + std::to_string(n) : "";
    record.task.checkpoint = checkpoint_;
    return record;
  }
  Record dispatched(std::uint64_t n, Position submitted) {
    Record record = of(Record::Kind::Dispatched, n, submitted);
    record.attempt = make_attempt(3, n);
    record.task.device_id = "device-3";
    record.task.assigned_at = WallTime(Duration(8));
    return record;
  }
  Record device(const std::string& id, const std::string& bytes) {
    Record record;
    record.kind = Record::Kind::Device;
    device_id_ = id;
    device_ = bytes;
    record.task.device_id = device_id_;
    record.device = device_;
    return record;
  }

 private:
  std::string payload_;
  std::string metadata_;
  std::string result_;
  std::string checkpoint_;
  std::string device_id_;
  std::string device_;
  std::vector<AttemptError> errors_;
};

}  // namespace retire::store
