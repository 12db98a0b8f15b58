// Messages of docs/protocol.md to bytes and back. Each family of messages is read and written by one file,
// FAMILY_messages.cpp; what they share is in reader.hpp, reading.hpp, packer.hpp and values.hpp.
//
// Decoding is bounded: sizes, counts and nesting are checked before anything is allocated for them, so after a
// decode every field is within its limit and nobody further in checks again. Errors carry the code that the peer is
// told: Malformed, TooLarge, Invalid, UnknownType or UnsupportedVersion.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/model/limits.hpp"
#include "common/model/messages.hpp"
#include "common/model/reports.hpp"

namespace retire::protocol {

// The outer array of a frame. `body` points into the frame.
struct Envelope {
  MessageType type = MessageType::Error;
  std::uint64_t correlation = 0;
  ByteView body;
};

// Reads the envelope and checks that nothing follows the body's first byte that is not there; the body is read by the
// decode() of its type. On an error `correlation` is what could be read of it, for the answer.
Result<Envelope> decode_envelope(ByteView frame, std::uint64_t& correlation);

// Each reads one body into `out`, whose former content is discarded and whose capacity is kept.
Status decode(ByteView body, Hello& out);
Status decode(ByteView body, Welcome& out);
Status decode(ByteView body, Heartbeat& out);
Status decode(ByteView body, ErrorReply& out);
Status decode(ByteView body, Submit& out);
Status decode(ByteView body, Submitted& out);
Status decode(ByteView body, Get& out);
Status decode(ByteView body, List& out);
Status decode(ByteView body, Tasks& out);
Status decode(ByteView body, std::string_view key, Cancelled& out);  // cancelled, retried: the key is the type's name
Status decode(ByteView body, QueueControl& out);
Status decode(ByteView body, DeviceControl& out);
Status decode(ByteView body, Why& out);
Status decode(ByteView body, Devices& out);
Status decode(ByteView body, Results& out);
Status decode(ByteView body, Assign& out);
Status decode(ByteView body, Finished& out);
Status decode(ByteView body, Progress& out);
Status decode(ByteView body, Logs& out);
Status decode(ByteView body, LogLines& out);
Status decode(ByteView body, DeviceUpdate& out);
Status decode_ids(ByteView body, std::string_view key,
                  TaskIds& out);                         // wait, forget, cancel: "ids"; waiting: "unknown"
Status decode_attempts(ByteView body, AttemptIds& out);  // started, recall, returned, stop
Status decode_report(ByteView body, std::string_view key, Report& out);
Status decode_empty(ByteView body);  // goodbye, ack, drain, stats

// Parts that are stored or shown outside a message.
Status decode_log_lines(ByteView msgpack, std::vector<LogLine>& out);
std::string encode_log_lines(const std::vector<LogLine>& lines);
std::string encode_capabilities(const Capabilities& capabilities);
Result<Capabilities> decode_capabilities(ByteView msgpack);
// One spec as in `submit`, e.g. to compare or to store it.
std::string encode_spec(const TaskSpec& spec);
// Whether `bytes` are exactly one well-formed msgpack value no deeper than `nesting_max`.
bool is_one_value(ByteView bytes, int nesting_max);

// Each appends one whole frame to `out`.
void encode(std::string& out, std::uint64_t correlation, const Hello& message);
void encode(std::string& out, std::uint64_t correlation, const Welcome& message);
void encode(std::string& out, std::uint64_t correlation, const Heartbeat& message);
void encode(std::string& out, std::uint64_t correlation, const ErrorReply& message);
void encode(std::string& out, std::uint64_t correlation, const Submitted& message);
void encode(std::string& out, std::uint64_t correlation, const Get& message);
void encode(std::string& out, std::uint64_t correlation, const List& message);
void encode(std::string& out, std::uint64_t correlation, const Tasks& message);
void encode(std::string& out, MessageType type, std::uint64_t correlation, const Cancelled& message);
void encode(std::string& out, std::uint64_t correlation, const QueueControl& message);
void encode(std::string& out, std::uint64_t correlation, const DeviceControl& message);
void encode(std::string& out, std::uint64_t correlation, const Why& message);
void encode(std::string& out, std::uint64_t correlation, const Devices& message);
void encode(std::string& out, std::uint64_t correlation, const DeviceUpdate& message);
void encode(std::string& out, std::uint64_t correlation, const Progress& message);
void encode(std::string& out, std::uint64_t correlation, const Logs& message);
void encode(std::string& out, std::uint64_t correlation, const LogLines& message);
void encode_ids(std::string& out, MessageType type, std::uint64_t correlation, const std::vector<TaskId>& ids);
void encode_attempts(std::string& out, MessageType type, std::uint64_t correlation,
                     const std::vector<AttemptId>& attempts);
void encode_empty(std::string& out, MessageType type, std::uint64_t correlation);
void encode_tasks(std::string& out, std::uint64_t correlation, const std::vector<std::optional<TaskReport>>& tasks,
                  std::optional<std::uint64_t> next_cursor);
void encode(std::string& out, std::uint64_t correlation, const Explanation& message);
void encode(std::string& out, std::uint64_t correlation, const ClusterStatistics& message);
void encode(std::string& out, std::uint64_t correlation, const std::vector<DeviceReport>& message);

// The batches of the hot path are written item by item into buffers that keep their capacity, and framed at the end.
// After take() the batch is empty again.
class SubmitBatch {
 public:
  explicit SubmitBatch(bool notify) : notify_(notify) {}
  // Returns the index to give to add(). The caller interns: equal specs should be added once.
  std::uint32_t add_spec(const TaskSpec& spec);
  void add(const std::optional<TaskId>& id, std::uint32_t spec, ByteView payload, ByteView metadata = {});
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return items_.size() + specs_.size(); }
  std::string take(std::uint64_t correlation);

 private:
  bool notify_;
  std::string specs_;
  std::string items_;
  std::uint32_t spec_count_ = 0;
  std::uint32_t count_ = 0;
};

class AssignBatch {
 public:
  std::uint32_t add_spec(const AssignSpec& spec);
  void add(const AssignItem& item);
  std::uint32_t spec_count() const { return spec_count_; }
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return items_.size() + specs_.size(); }
  std::string take(std::uint64_t correlation);

 private:
  std::string specs_;
  std::string items_;
  std::uint32_t spec_count_ = 0;
  std::uint32_t count_ = 0;
};

// The table of what ran the items of one message. An item that says nothing of it means the first entry, so that a
// batch of one plugin's results, as most are, carries it once.
class PluginTable {
 public:
  // The place that an item is to name; nullopt: none. `bare`: items before it said nothing, and nothing was known.
  std::optional<std::uint32_t> place_of(std::string_view plugin, bool bare);
  const std::vector<std::string>& names() const { return names_; }
  void clear() { names_.clear(); }

 private:
  std::vector<std::string> names_;
};

class FinishedBatch {
 public:
  void add(const FinishedItem& item);
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return items_.size(); }
  std::string take(std::uint64_t correlation);

 private:
  std::string items_;
  PluginTable plugins_;
  std::uint32_t count_ = 0;
};

class ResultsBatch {
 public:
  // Returns the index of a device's name for ResultItem::device; the caller adds each name once a batch.
  std::uint32_t add_device(std::string_view device_id);
  void add(const ResultItem& item);
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return items_.size(); }
  std::string take(std::uint64_t correlation);

 private:
  std::string devices_;
  std::string items_;
  PluginTable plugins_;
  std::uint32_t device_count_ = 0;
  std::uint32_t count_ = 0;
};

}  // namespace retire::protocol
