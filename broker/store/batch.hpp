// A batch: the records appended between two hand-overs, one value under its number. A segment is what becomes of
// batches when they are tidied: one value that stands for a run of them and holds the records that are still needed,
// each with the position it always had. docs/storage.md has the layout.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/store/record_codec.hpp"

namespace retire::store {

constexpr int kPlaceBits = 26;
constexpr Position kPlaceMask = (Position{1} << kPlaceBits) - 1;
constexpr std::uint64_t batch_of(Position position) { return position >> kPlaceBits; }
constexpr Position make_position(std::uint64_t batch, std::uint64_t place) { return (batch << kPlaceBits) | place; }
constexpr Position end_of(std::uint64_t batch) { return make_position(batch, kPlaceMask); }

// What begins each value.
struct Header {
  std::uint64_t salt = 0;    // the store's own random number: nothing a peer sends can look like a header
  std::uint64_t first = 0;   // the batch's number, and
  std::uint64_t last = 0;    // the last one it stands for
  std::uint64_t lowest = 0;  // no task of an earlier batch was unfinished when this one was written
  std::uint32_t bytes = 0;   // of the whole value
  std::uint32_t records = 0;
  std::uint32_t tidied = 0;    // 0: a batch as it was written, where a record's position says where it lies
  std::uint32_t layout = 1;    // of the entries
  std::uint64_t checksum = 0;  // XXH3 over what follows the header
};
constexpr std::size_t kHeaderBytes = 4 * 8 + 4 * 4 + 8 + 8;  // and a checksum over these

// Fills in bytes, checksum and the header's own checksum at the beginning of `value`, which has room for them there.
void seal(Header header, std::string& value);
// Errors: what is wrong, in words that follow "batch N in column family F".
Result<Header> read_header(std::string_view value, std::uint64_t salt);
Result<Header> check(std::string_view value, std::uint64_t salt);

// How a batch changes what is needed and what is unfinished, beside its own records.
struct BatchEffects {
  std::vector<Position> ended;      // Submitted records of tasks that are finished now,
  std::vector<Position> requeued;   // and of those that are unfinished again
  std::vector<Position> released;   // records that are not needed any more
  std::uint32_t submitted = 0;      // tasks that begin in this batch
  std::uint32_t needed = 0;         // records of this batch, but for Forgotten ones
  std::uint32_t passing = 0;        // of these: records that are soon replaced by a later one of their task,
  std::uint32_t passing_bytes = 0;  // and their bytes
};

// The open batch: records are serialised into it as they are appended.
class BatchBuilder {
 public:
  void begin(std::uint64_t number);
  Position append(const Record& record);
  void release(Position position) { effects_.released.push_back(position); }

  std::uint64_t number() const { return number_; }
  std::uint32_t records() const { return records_; }
  bool empty() const { return records_ == 0 && effects_.released.empty(); }
  std::size_t bytes() const { return value_.size(); }
  const BatchEffects& effects() const { return effects_; }
  // Both sealed: the value and the list of the IDs' prefixes.
  void finish(std::uint64_t salt, std::uint64_t lowest);
  const std::string& value() const { return value_; }
  const std::string& ids() const { return ids_; }
  // The last Settings record's bytes, sealed by finish(); empty if there is none.
  const std::string& settings() const { return settings_; }

 private:
  std::uint32_t place_of(const TaskSpec& spec);

  std::uint64_t number_ = 0;
  std::uint32_t records_ = 0;
  std::string value_;
  std::string ids_;
  std::string settings_;
  BatchEffects effects_;
  // Specs that stand in this batch already. The copies are what is compared: an address may be used again.
  struct Known {
    const TaskSpec* at = nullptr;
    TaskSpec spec;
    std::uint32_t place = 0;
  };
  std::vector<Known> specs_;
  std::size_t latest_ = 0;
};

// A value that was read and checked, kept for as long as records in it are looked at.
class Segment {
 public:
  // `value` must have passed check().
  Segment(std::string value, const Header& header) : value_(std::move(value)), header_(header) {}

  const Header& header() const { return header_; }
  std::size_t bytes() const { return value_.size(); }

  // Steps through the entries. Nullopt at the end or at what cannot be read, which damaged() tells apart.
  class Cursor {
   public:
    explicit Cursor(const Segment& segment) : segment_(&segment), at_(kHeaderBytes) {}
    std::optional<EntryHead> next();
    bool damaged() const { return damaged_; }
    std::size_t place() const { return at_; }

   private:
    const Segment* segment_;
    std::size_t at_;
    bool damaged_ = false;
  };
  std::optional<EntryHead> find(Position position) const;
  std::optional<EntryHead> spec_entry(const EntryHead& submitted) const;
  // Of a list of IDs: adds its numbers.
  void append_words(std::vector<std::uint64_t>& out) const;
  // The entry decoded; false if it cannot be.
  bool decode(const EntryHead& head, DecodedRecord& out);

 private:
  const TaskSpec* spec_at(std::uint32_t place);

  std::string value_;
  Header header_;
  std::unordered_map<std::uint32_t, TaskSpec> specs_;  // nodes stay where they are
  std::uint32_t latest_place_ = 0;
  const TaskSpec* latest_ = nullptr;
};

// Builds the value that takes the place of several: copies of the entries that are kept.
class SegmentWriter {
 public:
  SegmentWriter() { value_.assign(kHeaderBytes, '\0'), ids_.assign(kHeaderBytes, '\0'); }
  // False if the entry's spec cannot be found.
  bool keep(const EntryHead& head, const Segment& from);
  void finish(Header header, std::uint64_t salt);  // first, last and lowest are the caller's
  std::size_t bytes() const { return value_.size(); }
  std::uint32_t records() const { return records_; }
  const std::string& value() const { return value_; }
  const std::string& ids() const { return ids_; }

 private:
  std::string value_;
  std::string ids_;
  std::uint32_t records_ = 0;
  std::uint32_t submitted_ = 0;
  std::unordered_map<std::string, std::uint32_t> specs_;  // entry -> place
};

}  // namespace retire::store
