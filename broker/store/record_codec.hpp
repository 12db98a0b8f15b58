// How one record lies in a batch: docs/storage.md, "Entries".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/store/store.hpp"

namespace retire::store {

// Every entry begins with these: its whole size, what it is, and (but for a spec) the position it was given.
struct EntryHead {
  std::uint32_t size = 0;
  std::uint8_t type = 0;   // a Record::Kind, or kSpecEntry
  Position position = 0;   // 0 for a spec
  Position of = 0;         // 0 for Submitted, Device, Settings and a spec
  std::string_view bytes;  // the whole entry
};
constexpr std::uint8_t kSpecEntry = 0x40;
constexpr std::size_t kEntryHeadBytes = 4 + 1 + 8 + 8;
constexpr std::size_t kSpecPlaceOffset =
    kEntryHeadBytes;  // of a Submitted entry: where its spec's entry lies in the value

// Adds the entry to `out`. `spec_place`: for Submitted: where in the value its spec's entry begins.
void encode_spec(const TaskSpec& spec, std::string& out);
void encode_record(const Record& record, Position position, std::uint32_t spec_place, std::string& out);

// The entry that begins `bytes`; nullopt if that is none.
std::optional<EntryHead> read_head(std::string_view bytes);
// The ID's first eight bytes, as a number; of a Submitted entry.
std::uint64_t id_prefix(const EntryHead& head);
// Nullopt for what is about no task, and for an entry that is too short.
std::optional<TaskId> task_id(const EntryHead& head);
std::uint32_t spec_place(const EntryHead& head);
bool decode_spec(const EntryHead& head, TaskSpec& out);

// A record whose parts have somewhere to be; used again for the next one.
struct DecodedRecord {
  Record record;
  std::vector<AttemptError> errors;
};
// False if the entry is not one of ours. `spec`: of a Submitted one, else nullptr. Views into head.bytes.
bool decode_record(const EntryHead& head, const TaskSpec* spec, DecodedRecord& out);

}  // namespace retire::store
