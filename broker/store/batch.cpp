#include "broker/store/batch.hpp"

#include <xxhash.h>

#include "broker/store/bytes.hpp"
#include "common/base/assert.hpp"

namespace retire::store {
namespace {

// So many distinct specs are looked through for each record; beyond that a spec may stand in a batch again.
constexpr std::size_t kSpecsKnownMax = 16;

std::uint64_t checksum(std::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

void put_prefix(std::string& ids, std::uint64_t prefix) {
  ids.append(reinterpret_cast<const char*>(&prefix), sizeof prefix);
}

}  // namespace

void seal(Header header, std::string& value) {
  RC_ASSERT(value.size() >= kHeaderBytes && value.size() <= UINT32_MAX);
  ByteWriter writer(value.data());
  writer.put(header.salt);
  writer.put(header.first);
  writer.put(header.last);
  writer.put(header.lowest);
  writer.put(static_cast<std::uint32_t>(value.size()));
  writer.put(header.records);
  writer.put(header.tidied);
  writer.put(header.layout);
  writer.put(checksum(std::string_view(value).substr(kHeaderBytes)));
  writer.put(checksum({value.data(), kHeaderBytes - 8}));
}

Result<Header> read_header(std::string_view value, std::uint64_t salt) {
  ByteReader reader(value.substr(0, std::min(value.size(), kHeaderBytes)));
  Header header;
  header.salt = reader.get<std::uint64_t>();
  header.first = reader.get<std::uint64_t>();
  header.last = reader.get<std::uint64_t>();
  header.lowest = reader.get<std::uint64_t>();
  header.bytes = reader.get<std::uint32_t>();
  header.records = reader.get<std::uint32_t>();
  header.tidied = reader.get<std::uint32_t>();
  header.layout = reader.get<std::uint32_t>();
  header.checksum = reader.get<std::uint64_t>();
  const auto own = reader.get<std::uint64_t>();
  if (!reader.ok()) {
    return Error{ErrorCode::StorageFailed, "is cut off at byte " + std::to_string(value.size()) + " of its header"};
  }
  if (own != checksum(value.substr(0, kHeaderBytes - 8))) {
    return Error{ErrorCode::StorageFailed, "has a header that does not match its checksum"};
  }
  if (header.salt != salt) return Error{ErrorCode::StorageFailed, "belongs to another store"};
  return header;
}

Result<Header> check(std::string_view value, std::uint64_t salt) {
  Result<Header> header = read_header(value, salt);
  if (!header.ok()) return header;
  if (header.value().bytes != value.size()) {
    return Error{ErrorCode::StorageFailed, "has " + std::to_string(value.size()) + " bytes where its header says " +
                                               std::to_string(header.value().bytes)};
  }
  if (header.value().checksum != checksum(value.substr(kHeaderBytes))) {
    return Error{ErrorCode::StorageFailed, "does not match its checksum (bytes " + std::to_string(kHeaderBytes) +
                                               " to " + std::to_string(value.size()) + ")"};
  }
  return header;
}

void BatchBuilder::begin(std::uint64_t number) {
  number_ = number;
  records_ = 0;
  value_.assign(kHeaderBytes, '\0');
  ids_.assign(kHeaderBytes, '\0');
  settings_.clear();
  effects_.ended.clear();
  effects_.requeued.clear();
  effects_.released.clear();
  effects_.submitted = 0;
  effects_.needed = 0;
  effects_.passing = 0;
  effects_.passing_bytes = 0;
  specs_.clear();
  latest_ = 0;
}

std::uint32_t BatchBuilder::place_of(const TaskSpec& spec) {
  const auto is = [&](const Known& known) { return known.at == &spec && known.spec == spec; };
  if (latest_ < specs_.size() && is(specs_[latest_])) return specs_[latest_].place;
  for (std::size_t i = 0; i < specs_.size(); ++i) {
    if (is(specs_[i])) return latest_ = i, specs_[i].place;
  }
  const auto place = static_cast<std::uint32_t>(value_.size());
  encode_spec(spec, value_);
  latest_ = specs_.size() < kSpecsKnownMax ? specs_.size() : (latest_ + 1) % kSpecsKnownMax;
  if (latest_ == specs_.size()) specs_.emplace_back();
  specs_[latest_] = {&spec, spec, place};
  return place;
}

Position BatchBuilder::append(const Record& record) {
  std::uint32_t spec = 0;
  switch (record.kind) {
    case Record::Kind::Submitted:
      RC_ASSERT(record.task.spec != nullptr);
      spec = place_of(*record.task.spec);
      put_prefix(ids_, record.task.id.high());
      ++effects_.submitted;
      break;
    case Record::Kind::Ended: effects_.ended.push_back(record.of); break;
    case Record::Kind::Requeued: effects_.requeued.push_back(record.of); break;
    case Record::Kind::Settings: settings_.assign(kHeaderBytes, '\0').append(record.device); break;
    default: break;
  }
  const bool of_a_task = record.kind != Record::Kind::Device && record.kind != Record::Kind::Settings;
  if (record.kind != Record::Kind::Submitted && of_a_task) RC_ASSERT(record.of != 0);
  if (record.kind != Record::Kind::Forgotten) ++effects_.needed;
  ++records_;
  const Position position = make_position(number_, value_.size());
  encode_record(record, position, spec, value_);
  if (is_passing(record.kind)) {
    ++effects_.passing;
    effects_.passing_bytes += static_cast<std::uint32_t>(value_.size() - (position & kPlaceMask));
  }
  return position;
}

void BatchBuilder::finish(std::uint64_t salt, std::uint64_t lowest) {
  Header header{.salt = salt, .first = number_, .last = number_, .lowest = lowest, .records = records_};
  seal(header, value_);
  header.records = effects_.submitted;
  seal(header, ids_);
  header.records = 1;
  if (!settings_.empty()) seal(header, settings_);
}

std::optional<EntryHead> Segment::Cursor::next() {
  const std::string_view value = segment_->value_;
  if (at_ >= value.size()) return std::nullopt;
  std::optional<EntryHead> head = read_head(value.substr(at_));
  if (!head) {
    damaged_ = true;
    return std::nullopt;
  }
  at_ += head->size;
  return head;
}

std::optional<EntryHead> Segment::find(Position position) const {
  const std::size_t place = position & kPlaceMask;
  if (header_.tidied == 0 && place >= kHeaderBytes && place < value_.size()) {
    const std::optional<EntryHead> head = read_head(std::string_view(value_).substr(place));
    if (head && head->position == position && head->type != kSpecEntry) return head;
  }
  Cursor cursor(*this);
  while (const std::optional<EntryHead> head = cursor.next()) {
    if (head->position == position) return head;
  }
  return std::nullopt;
}

void Segment::append_words(std::vector<std::uint64_t>& out) const {
  const std::size_t count = (value_.size() - kHeaderBytes) / sizeof(std::uint64_t);
  const std::size_t at = out.size();
  out.resize(at + count);
  if (count > 0) std::memcpy(out.data() + at, value_.data() + kHeaderBytes, count * sizeof(std::uint64_t));
}

std::optional<EntryHead> Segment::spec_entry(const EntryHead& submitted) const {
  if (submitted.size < kEntryHeadBytes + 4 + 16) return std::nullopt;
  const std::uint32_t place = spec_place(submitted);
  if (place < kHeaderBytes || place >= value_.size()) return std::nullopt;
  const std::optional<EntryHead> head = read_head(std::string_view(value_).substr(place));
  if (!head || head->type != kSpecEntry) return std::nullopt;
  return head;
}

const TaskSpec* Segment::spec_at(std::uint32_t place) {
  if (latest_ != nullptr && latest_place_ == place) return latest_;
  auto known = specs_.find(place);
  if (known == specs_.end()) {
    if (place < kHeaderBytes || place >= value_.size()) return nullptr;
    const std::optional<EntryHead> head = read_head(std::string_view(value_).substr(place));
    TaskSpec spec;
    if (!head || !decode_spec(*head, spec)) return nullptr;
    known = specs_.emplace(place, std::move(spec)).first;
  }
  latest_place_ = place;
  return latest_ = &known->second;
}

bool Segment::decode(const EntryHead& head, DecodedRecord& out) {
  const TaskSpec* spec = nullptr;
  if (head.type == static_cast<std::uint8_t>(Record::Kind::Submitted)) {
    if (head.size < kEntryHeadBytes + 4 || (spec = spec_at(spec_place(head))) == nullptr) return false;
  }
  return decode_record(head, spec, out);
}

bool SegmentWriter::keep(const EntryHead& head, const Segment& from) {
  if (head.type != static_cast<std::uint8_t>(Record::Kind::Submitted)) {
    value_.append(head.bytes);
    ++records_;
    return true;
  }
  const std::optional<EntryHead> spec = from.spec_entry(head);
  if (!spec) return false;
  const auto [known, fresh] = specs_.try_emplace(std::string(spec->bytes), static_cast<std::uint32_t>(value_.size()));
  if (fresh) value_.append(spec->bytes);
  const std::size_t at = value_.size();
  value_.append(head.bytes);
  std::memcpy(value_.data() + at + kSpecPlaceOffset, &known->second, sizeof known->second);
  put_prefix(ids_, id_prefix(head));
  ++records_;
  ++submitted_;
  return true;
}

void SegmentWriter::finish(Header header, std::uint64_t salt) {
  header.salt = salt;
  header.tidied = 1;
  header.records = records_;
  seal(header, value_);
  header.records = submitted_;
  seal(header, ids_);
}

}  // namespace retire::store
