#include "worker/host/result_ring.hpp"

#include <algorithm>
#include <cstring>

namespace retire::host {
namespace {

std::size_t padded(std::size_t bytes) { return (bytes + kRecordAlign - 1) & ~(kRecordAlign - 1); }

char* put(char* to, std::string_view part) {
  if (!part.empty()) std::memcpy(to, part.data(), part.size());
  return to + part.size();
}

}  // namespace

std::size_t record_bytes(const ResultParts& parts) {
  return padded(sizeof(ResultHeader) + (parts.data ? parts.data->size() : 0) + parts.error_message.size() +
                parts.traceback.size() + parts.logs.size() + parts.checkpoint.size());
}

void write_record(ResultHeader header, const ResultParts& parts, char* to) {
  const std::string_view data = parts.data.value_or(std::string_view{});
  header.bytes = static_cast<std::uint32_t>(record_bytes(parts));
  header.has_data = parts.data ? 1 : 0;
  header.data_bytes = static_cast<std::uint32_t>(data.size());
  header.error_bytes = static_cast<std::uint32_t>(parts.error_message.size());
  header.traceback_bytes = static_cast<std::uint32_t>(parts.traceback.size());
  header.logs_bytes = static_cast<std::uint32_t>(parts.logs.size());
  header.checkpoint_bytes = static_cast<std::uint32_t>(parts.checkpoint.size());
  std::memcpy(to, &header, sizeof header);
  char* at = put(to + sizeof header, data);
  for (const std::string_view part : {parts.error_message, parts.traceback, parts.logs, parts.checkpoint})
    at = put(at, part);
}

bool read_record(const char* from, std::size_t available, ResultHeader& header, ResultParts& parts) {
  if (available < sizeof header) return false;
  std::memcpy(&header, from, sizeof header);  // once: the other side could change it between two looks
  const std::uint64_t needed = std::uint64_t{sizeof header} + header.data_bytes + header.error_bytes +
                               header.traceback_bytes + header.logs_bytes + header.checkpoint_bytes;
  if (header.bytes > available || header.bytes < needed || header.bytes % kRecordAlign != 0) return false;
  const char* at = from + sizeof header;
  const auto part = [&at](std::uint32_t bytes) {
    const std::string_view view(at, bytes);
    at += bytes;
    return view;
  };
  const std::string_view data = part(header.data_bytes);
  parts.data = header.has_data != 0 ? std::optional(data) : std::nullopt;
  parts.error_message = part(header.error_bytes);
  parts.traceback = part(header.traceback_bytes);
  parts.logs = part(header.logs_bytes);
  parts.checkpoint = part(header.checkpoint_bytes);
  return true;
}

bool RingWriter::write(const ResultHeader& header, const ResultParts& parts) {
  const std::size_t bytes = record_bytes(parts);
  const std::size_t at = written_ % kRingBytes;
  const std::size_t to_end = kRingBytes - at;
  const std::size_t wasted = to_end < bytes ? to_end : 0;  // a record does not wrap around
  const auto room = [&] { return kRingBytes - static_cast<std::size_t>(written_ - read_); };
  if (room() < bytes + wasted) {
    read_ = page_.read.load(std::memory_order_acquire);
    if (room() < bytes + wasted) return false;
  }
  if (wasted > 0) {
    const std::uint32_t wrap = 0;
    std::memcpy(page_.ring + at, &wrap, sizeof wrap);
    written_ += wasted;
  }
  write_record(header, parts, page_.ring + written_ % kRingBytes);
  written_ += bytes;
  page_.written.store(written_, std::memory_order_release);
  return true;
}

void RingWriter::wait_for_room() {
  const std::uint32_t before = page_.room_wake.load();
  page_.waits_for_room.store(1);
  if (page_.read.load() != read_) return;
  futex_wait(page_.room_wake, before, std::chrono::milliseconds(100));
}

RingReader::Next RingReader::next(ResultHeader& header, ResultParts& parts) {
  const std::uint64_t written = page_.written.load(std::memory_order_acquire);
  if (written == read_) return Next::Empty;
  if (written < read_ || written - read_ > kRingBytes || (written - read_) % kRecordAlign != 0) return Next::Garbage;
  std::size_t at = read_ % kRingBytes;
  std::uint32_t first = 0;
  std::memcpy(&first, page_.ring + at, sizeof first);
  if (first == 0) {
    if (written - read_ <= kRingBytes - at) return Next::Garbage;
    read_ += kRingBytes - at;
    at = 0;
  }
  const std::size_t available = std::min(static_cast<std::size_t>(written - read_), kRingBytes - at);
  if (!read_record(page_.ring + at, available, header, parts)) return Next::Garbage;
  read_ += header.bytes;
  return Next::Record;
}

void RingReader::release() {
  page_.read.store(read_);
  if (page_.waits_for_room.load() != 0) {
    page_.waits_for_room.store(0);
    page_.room_wake.fetch_add(1);
    futex_wake(page_.room_wake);
  }
}

}  // namespace retire::host
