// Results on their way from a handler host to the agent, in shared memory: one writer, one reader.
//
// A result is there for the agent as soon as it is written, also while the next attempt runs on for hours, and also
// after the host has died.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "worker/host/shared_page.hpp"
#include "worker/host/wire.hpp"

namespace retire::host {

// The parts of one result. Views.
struct ResultParts {
  std::optional<std::string_view> data;
  std::string_view error_message;
  std::string_view traceback;
  std::string_view logs;
  std::string_view checkpoint;
};

// How large the record of these is, in a ring or a message. Each part is bounded by its own limit.
std::size_t record_bytes(const ResultParts& parts);
// Fills in sizes and writes header and parts at `to`, which has record_bytes().
void write_record(ResultHeader header, const ResultParts& parts, char* to);
// Reads a record of at most `available` bytes; false if it makes no sense. Parts point into the record.
bool read_record(const char* from, std::size_t available, ResultHeader& header, ResultParts& parts);

// The host's end.
class RingWriter {
 public:
  explicit RingWriter(SharedPage& page) : page_(page) {}

  // False when there is no room now. Precondition: the record fits kRingRecordMax.
  bool write(const ResultHeader& header, const ResultParts& parts);
  // Until the agent has read something; may return early.
  void wait_for_room();

 private:
  SharedPage& page_;
  std::uint64_t written_ = 0;
  std::uint64_t read_ = 0;  // as last seen
};

// The agent's end.
class RingReader {
 public:
  explicit RingReader(SharedPage& page) : page_(page) {}

  enum class Next : std::uint8_t { Record, Empty, Garbage };
  // The next record. It stays in the ring, for `parts` to point to, until release().
  Next next(ResultHeader& header, ResultParts& parts);
  // Gives the room of all records read back to the writer.
  void release();

 private:
  SharedPage& page_;
  std::uint64_t read_ = 0;
};

}  // namespace retire::host
