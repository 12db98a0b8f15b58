// The messages of docs/protocol.md as plain values. Views (ByteView, string_view) point into the frame that was decoded
// and live as long as it does. Messages of the hot path are decoded into objects that keep their capacity.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.hpp"
#include "common/model/capabilities.hpp"
#include "common/model/task.hpp"

namespace retire {

enum class MessageType : std::uint8_t {
#define RC_MESSAGE(name, wire) name,
#include "common/model/message_types.def"
#undef RC_MESSAGE
};

std::string_view to_string(MessageType type);
std::optional<MessageType> parse_message_type(std::string_view wire_name);

enum class PeerKind : std::uint8_t { Client, Worker };

struct Hello {
  PeerKind peer = PeerKind::Client;
  std::uint32_t version_min = 1;
  std::uint32_t version_max = 1;
  std::string program;
  InstanceId instance;
  std::optional<Capabilities> device;  // of a worker
  std::vector<AttemptId> held;
  bool draining = false;
  std::string paused;  // why the device takes no work now; empty: it does
};

struct Welcome {
  std::uint32_t version = 1;
  std::string program;
  InstanceId instance;
  std::uint64_t epoch = 0;
  bool durable = false;
  Duration heartbeat{};
  Duration offline_after{};
  Duration lease{};
  std::uint64_t message_bytes_max = 0;
  std::uint64_t payload_bytes_max = 0;
  std::uint64_t result_bytes_max = 0;
  std::vector<AttemptId> abandon;
};

struct Heartbeat {  // from a worker; empty the other way
  std::uint64_t seen = 0;
  std::vector<AttemptId> held;
  double load = 0;
  std::uint32_t running = 0;
  std::string paused;        // why the device takes no work now; empty: it does
  bool from_worker = false;  // whether the fields above were there
};

struct ErrorReply {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  std::optional<std::uint64_t> index;
  std::string field;
  std::optional<Duration> retry_after;
};

struct SubmitItem {
  std::optional<TaskId> id;
  std::uint32_t spec = 0;
  ByteView payload;
  ByteView metadata;  // empty: none
};

struct Submit {
  std::vector<TaskSpec> specs;
  std::vector<SubmitItem> tasks;
  bool notify = false;
};

struct Submitted {
  std::uint64_t count = 0;
  std::vector<TaskId> ids;  // empty unless main chose any
  std::vector<std::uint64_t> known;
};

// wait, waiting (unknown), forget, cancel: a list of task IDs
struct TaskIds {
  std::vector<TaskId> ids;
};

struct Get {
  std::vector<TaskId> ids;
  bool payload = true;
  bool result = true;
};

struct List {
  std::optional<TaskStatus> status;
  std::string type;
  std::uint32_t limit = 100;
  std::optional<std::uint64_t> cursor;
};

// Task maps as they came, each one msgpack value (nil: unknown task).
struct Tasks {
  std::vector<ByteView> tasks;
  std::optional<std::uint64_t> next_cursor;
};

// cancelled, retried: for each task whether it was done; nullopt for an unknown one
struct Cancelled {
  std::vector<std::optional<bool>> cancelled;
};

struct Why {
  std::optional<TaskId> id;
  std::optional<TaskSpec> spec;  // a dry run
};

// explained, statistics, device_list: one msgpack value for people's programs, not looked into here.
struct Report {
  ByteView value;
};

struct Devices {
  std::string device_id;  // empty: all
};

struct QueueControl {
  enum class Action : std::uint8_t { Pause, Resume };
  Action action = Action::Pause;
  std::string type;  // empty: the whole queue
};

struct DeviceControl {
  enum class Action : std::uint8_t { Drain, Resume, Remove };
  Action action = Action::Drain;
  std::string device_id;
};

struct ResultItem {
  TaskId id;
  TaskStatus status = TaskStatus::Success;
  std::optional<ByteView> data;
  std::optional<std::uint32_t> device;  // index into Results::devices
  WallTime started_at{};                // zero: never started
  WallTime completed_at{};
  Duration run{};
  std::string_view error_message;
  std::string_view traceback;
  ByteView logs;              // msgpack array of log lines; empty: none
  std::string_view plugin{};  // what ran it: "NAME VERSION sha256:HEX"; empty: not known
};

struct Results {
  std::vector<std::string_view> devices;
  std::vector<ResultItem> results;
};

struct AssignSpec {
  std::string_view type;
  Duration timeout{};
  Priority priority = Priority::Normal;
  bool at_most_once = false;
};

struct AssignItem {
  TaskId task;
  AttemptId attempt;
  std::uint32_t spec = 0;
  ByteView payload;
  std::uint32_t number = 1;
  ByteView checkpoint{};  // what a former attempt has left; empty: nothing
};

struct Assign {
  std::vector<AssignSpec> specs;
  std::vector<AssignItem> tasks;
};

// started, recall, returned, stop: a list of attempts
struct AttemptIds {
  std::vector<AttemptId> attempts;
};

struct FinishedItem {
  TaskId task;
  AttemptId attempt;
  Outcome outcome = Outcome::Success;
  std::optional<ByteView> data;
  Duration run{};
  std::string_view error_message;
  std::string_view traceback;
  ByteView logs;              // msgpack array of log lines; empty: none
  ByteView checkpoint{};      // of an attempt that did not succeed; empty: none
  std::string_view plugin{};  // as ResultItem::plugin
};

struct Finished {
  std::vector<FinishedItem> results;
};

// What one attempt has told since the last time.
struct ProgressItem {
  AttemptId attempt;
  std::optional<double> fraction;  // 0 to 1
  std::string_view text;
  std::uint64_t first_line = 0;  // the place in the attempt's log of the first of `logs`, from 0
  ByteView logs;                 // msgpack array of log lines; empty: none
  ByteView checkpoint;           // the latest; empty: no new one
};

struct Progress {
  std::vector<ProgressItem> attempts;
};

struct Logs {
  TaskId id;
  std::uint64_t cursor = 0;  // LogLines::next of the last answer; 0: from the beginning
};

struct LogLines {
  TaskStatus status = TaskStatus::Queued;
  std::uint32_t attempt = 0;  // whose lines these are, from 1; 0: none has told anything
  ByteView lines;             // msgpack array of log lines; empty: none
  std::uint64_t next = 0;
  std::uint64_t missed = 0;  // lines since `cursor` that main did not get or keep
};

struct DeviceUpdate {
  Capabilities device;
};

}  // namespace retire
