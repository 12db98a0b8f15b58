#include "worker/host/live_area.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <retire_cluster/msgpack_check.hpp>

namespace retire::host {
namespace {

struct LineHeader {
  std::uint32_t number = 0;
  std::uint16_t text_bytes = 0;
  std::uint8_t level = 0;
  std::uint8_t unused = 0;
  std::uint64_t us_since_start = 0;
};
static_assert(sizeof(LineHeader) == 16 && kLogLineBytesMax <= UINT16_MAX);

constexpr int kLastRounds = 64;  // more pieces than a host leaves that is in its right mind
constexpr int kReadTries = 3;    // of what is being written at that moment; then next time

}  // namespace

// In this order, so that a reader who sees the sequence after as before has read nothing of another attempt. What comes
// later here is not seen without what came before: all of it is stored with release or stricter.
void LiveWriter::open() {
  if (opened_ == sequence_) return;
  area_.sequence.store(0);
  area_.progress_changes.store(0);
  area_.log_written.store(0);
  area_.checkpoint_begun.store(0);
  area_.checkpoint_done.store(0);
  written_ = 0;
  full_at_.reset();
  opened_ = sequence_;
  area_.sequence.store(sequence_);
}

void LiveWriter::progress(double fraction, std::string_view text) {
  open();
  const std::uint32_t changes = area_.progress_changes.load();
  area_.progress_changes.store(changes + 1);
  area_.fraction.store(std::bit_cast<std::uint64_t>(fraction));
  const std::size_t size = std::min(text.size(), kProgressTextBytesMax);
  area_.text.write(0, text.data(), size);
  area_.text_bytes.store(static_cast<std::uint32_t>(size));
  area_.progress_changes.store(changes + 2);
}

void LiveWriter::put(std::uint64_t at, const void* data, std::size_t size) {
  const std::size_t begin = at % kLiveLogBytes;
  const std::size_t first = std::min(size, kLiveLogBytes - begin);
  area_.log.write(begin, data, first);
  if (first < size) area_.log.write(0, static_cast<const char*>(data) + first, size - first);
}

void LiveWriter::line(std::uint64_t number, const LogLine& line) {
  open();
  // The agent sets the number of bytes first and then whose they are.
  const std::uint64_t read = area_.log_read_of.load() == sequence_ ? std::min(area_.log_read.load(), written_) : 0;
  if (full_at_ == read) return;  // so that what is left out is one piece, not every other line
  LineHeader header;
  header.number = static_cast<std::uint32_t>(number);
  header.text_bytes = static_cast<std::uint16_t>(std::min(line.text.size(), kLogLineBytesMax));
  header.level = static_cast<std::uint8_t>(line.level);
  header.us_since_start = line.us_since_start;
  const std::size_t bytes = sizeof header + header.text_bytes;
  if (written_ - read + bytes > kLiveLogBytes) {
    full_at_ = read;
    return;
  }
  full_at_.reset();
  put(written_, &header, sizeof header);
  put(written_ + sizeof header, line.text.data(), header.text_bytes);
  written_ += bytes;
  area_.log_written.store(written_);
}

void LiveWriter::checkpoint(std::string_view data) {
  open();
  const std::uint64_t number = area_.checkpoint_begun.load() + 1;
  area_.checkpoint_begun.store(number);
  area_.checkpoints[number % 2].write(0, data.data(), data.size());
  area_.checkpoint_bytes[number % 2].store(static_cast<std::uint32_t>(data.size()));
  area_.checkpoint_done.store(number);
}

std::string_view LiveWriter::latest_checkpoint() const {
  if (opened_ != sequence_) return {};
  const std::uint64_t number = area_.checkpoint_done.load();
  if (number == 0) return {};
  return {area_.checkpoints[number % 2].begin(), area_.checkpoint_bytes[number % 2].load()};
}

void LiveReader::get(std::uint64_t at, void* to, std::size_t size) const {
  const std::size_t begin = at % kLiveLogBytes;
  const std::size_t first = std::min(size, kLiveLogBytes - begin);
  area_.log.read(begin, to, first);
  if (first < size) area_.log.read(0, static_cast<char*>(to) + first, size - first);
}

Told LiveReader::read(std::uint64_t sequence, bool again) {
  Told told;
  if (sequence == 0 || area_.sequence.load() != sequence) return told;
  if (sequence_ != sequence) {
    sequence_ = sequence;
    progress_seen_ = 0;
    read_ = next_line_ = checkpoint_seen_ = 0;
    kept_ = {};
    kept_bytes_ = 0;
    area_.log_read.store(0);
    area_.log_read_of.store(sequence);
  }
  if (again) {
    progress_seen_ = 0;
    checkpoint_seen_ = 0;
  }
  read_progress(told);
  read_lines(told);
  read_checkpoint(told);
  if (area_.sequence.load() != sequence) return {};  // it has ended meanwhile: its result says it all
  area_.log_read.store(read_);
  for (const LogLine& line : told.lines) {
    if (kept_.size() >= kLogLinesMax || kept_bytes_ + line.text.size() > kLogBytesMax) break;
    kept_bytes_ += line.text.size();
    kept_.push_back(line);
  }
  return told;
}

void LiveReader::read_progress(Told& out) {
  for (int i = 0; i < kReadTries; ++i) {
    const std::uint32_t changes = area_.progress_changes.load();
    if (changes == progress_seen_) return;
    if (changes % 2 != 0) continue;
    const double fraction = std::bit_cast<double>(area_.fraction.load());
    const std::size_t size = std::min(std::size_t{area_.text_bytes.load()}, kProgressTextBytesMax);
    std::string text(size, '\0');
    area_.text.read(0, text.data(), size);
    if (area_.progress_changes.load() != changes) continue;
    progress_seen_ = changes;
    if (!(fraction >= 0 && fraction <= 1) || !retire_cluster::is_utf8(text)) return;
    out.has_progress = true;
    out.fraction = fraction;
    out.text = std::move(text);
    return;
  }
}

void LiveReader::read_lines(Told& out) {
  const std::uint64_t written = area_.log_written.load();
  if (written - read_ > kLiveLogBytes) {  // a host that has gone wild, also if it is less
    read_ = written;
    return;
  }
  while (written - read_ >= sizeof(LineHeader)) {
    LineHeader header;
    get(read_, &header, sizeof header);
    const std::size_t bytes = sizeof header + header.text_bytes;
    if (bytes > written - read_ || header.text_bytes > kLogLineBytesMax || header.number < next_line_ ||
        header.number >= kLogLinesMax) {
      read_ = written;
      return;
    }
    if (!out.lines.empty() && header.number != next_line_) return;  // some are missing: from here the next time
    LogLine line;
    line.level = static_cast<LogLevel>(std::clamp<int>(header.level, 1, 4));
    line.us_since_start = header.us_since_start;
    line.text.resize(header.text_bytes);
    get(read_ + sizeof header, line.text.data(), line.text.size());
    read_ += bytes;
    if (!retire_cluster::is_utf8(line.text)) continue;
    if (out.lines.empty()) out.first_line = header.number;
    next_line_ = header.number + std::uint64_t{1};
    out.lines.push_back(std::move(line));
  }
}

void LiveReader::read_checkpoint(Told& out) {
  for (int i = 0; i < kReadTries; ++i) {
    const std::uint64_t number = area_.checkpoint_done.load();
    if (number == checkpoint_seen_) return;
    const std::size_t size = area_.checkpoint_bytes[number % 2].load();
    if (size > kCheckpointBytesMax) return;
    std::string data(size, '\0');
    area_.checkpoints[number % 2].read(0, data.data(), size);
    if (area_.checkpoint_begun.load() > number + 1) continue;  // written over meanwhile
    checkpoint_seen_ = number;
    if (number == 0 || data.empty()) return;
    out.has_checkpoint = true;
    out.checkpoint = std::move(data);
    return;
  }
}

LiveReader::Last LiveReader::last(std::uint64_t sequence) {
  Last out;
  for (int i = 0; i < kLastRounds; ++i) {
    Told told = read(sequence, true);
    if (told.has_checkpoint) out.checkpoint = std::move(told.checkpoint);
    if (told.lines.empty()) break;
  }
  if (sequence_ == sequence) out.lines = std::move(kept_);
  kept_ = {};
  kept_bytes_ = 0;
  return out;
}

}  // namespace retire::host
