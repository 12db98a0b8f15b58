#include "worker/outbox/outbox_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/crc.hpp>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>
#include <utility>

namespace retire::worker {
namespace {

constexpr std::string_view kMagic = "RCOUTBX1";
constexpr std::size_t kHeadBytes = 20;
constexpr std::size_t kCheckedFrom = 4;  // the checksum is not part of what it is of
constexpr std::uint32_t kKept = 1;
constexpr std::uint32_t kGone = 2;

using Crc32c = boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true>;

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t get(std::string_view bytes, std::size_t from, int count) {
  std::uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i) {
    value = (value << 8) | static_cast<unsigned char>(bytes[from + static_cast<std::size_t>(i)]);
  }
  return value;
}

void add_record(std::string& out, std::uint64_t id, std::uint32_t kind, ByteView bytes) {
  const std::size_t from = out.size();
  put(out, 0, 4);
  put(out, bytes.size(), 4);
  put(out, id, 8);
  put(out, kind, 4);
  out.append(bytes);
  Crc32c crc;
  crc.process_bytes(out.data() + from + kCheckedFrom, out.size() - from - kCheckedFrom);
  std::string sum;
  put(sum, crc.checksum(), 4);
  out.replace(from, 4, sum);
}

// The size of the record at `offset`; 0 if no whole one is there.
std::size_t whole_record(std::string_view bytes, std::size_t offset) {
  if (bytes.size() - offset < kHeadBytes) return 0;
  const std::uint64_t size = kHeadBytes + get(bytes, offset + 4, 4);
  if (size > bytes.size() - offset) return 0;
  Crc32c crc;
  crc.process_bytes(bytes.data() + offset + kCheckedFrom, static_cast<std::size_t>(size) - kCheckedFrom);
  return crc.checksum() == get(bytes, offset, 4) ? static_cast<std::size_t>(size) : 0;
}

bool write_at(int descriptor, std::uint64_t offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    offset += static_cast<std::uint64_t>(done);
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return true;
}

bool read_at(int descriptor, std::uint64_t offset, std::string& out, std::size_t size) {
  out.resize(size);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(descriptor, out.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += static_cast<std::size_t>(got);
  }
  return true;
}

bool sync_directory(const std::filesystem::path& directory) {
  const int descriptor = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool done = fsync(descriptor) == 0;
  close(descriptor);
  return done;
}

}  // namespace

OutboxFile::OutboxFile(OutboxFile&& other) noexcept
    : path_(std::move(other.path_)),
      options_(other.options_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      end_(other.end_),
      live_bytes_(other.live_bytes_),
      next_id_(other.next_id_),
      live_(std::move(other.live_)),
      broken_(std::move(other.broken_)) {}

OutboxFile::~OutboxFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

Error OutboxFile::failed(const std::string& what, int reason) const {
  return {ErrorCode::Io, path_.string() + ": " + what + ": " + std::strerror(reason)};
}

Result<OutboxFile> OutboxFile::open(const std::filesystem::path& file, Options options, Found& found) {
  if (options.sync == nullptr) options.sync = fdatasync;
  OutboxFile out(file, options);
  out.descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (out.descriptor_ < 0) return out.failed("cannot be opened", errno);
  if (const Status status = out.read(found); !status.ok()) return status.error();
  // Also when it is empty: then this writes the head.
  if (out.end_ != kMagic.size() + out.live_bytes_ || found.dropped_bytes > 0 || out.live_.empty()) {
    if (const Status status = out.rewrite(); !status.ok()) return status.error();
  }
  return out;
}

Status OutboxFile::read(Found& found) {
  struct stat seen {};
  if (fstat(descriptor_, &seen) != 0) return failed("cannot be read", errno);
  const bool ours = static_cast<std::uint64_t>(seen.st_size) <= 2 * options_.bytes_max;
  std::string bytes;
  if (ours && !read_at(descriptor_, 0, bytes, static_cast<std::size_t>(seen.st_size)))
    return failed("cannot be read", errno);
  if (!ours || (!bytes.starts_with(kMagic) && !kMagic.starts_with(bytes))) {
    std::error_code wrong;
    found.set_aside = path_.string() + ".unknown";
    std::filesystem::rename(path_, found.set_aside, wrong);
    if (wrong) return failed("is no outbox of this program, and cannot be renamed", wrong.value());
    return ok_status();  // rewrite() makes a new one
  }
  std::size_t offset = std::min(bytes.size(), kMagic.size());
  while (const std::size_t size = whole_record(bytes, offset)) {
    const std::uint64_t id = get(bytes, offset + 8, 8);
    const std::uint64_t kind = get(bytes, offset + 16, 4);
    if (kind == kKept && live_.try_emplace(id, Place{offset, size}).second) live_bytes_ += size;
    if (kind == kGone) {
      if (const auto gone = live_.find(id); gone != live_.end()) {
        live_bytes_ -= gone->second.bytes;
        live_.erase(gone);
      }
    }
    if (id >= next_id_ && id < UINT64_MAX) next_id_ = id + 1;
    offset += size;
  }
  end_ = offset;
  found.dropped_bytes = bytes.size() - offset;
  for (const auto& [id, place] : live_) {
    found.records.emplace_back(id, bytes.substr(static_cast<std::size_t>(place.offset) + kHeadBytes,
                                                static_cast<std::size_t>(place.bytes) - kHeadBytes));
  }
  return ok_status();
}

// What is live into a new file, which takes the old one's name once it is on the disk.
Status OutboxFile::rewrite() {
  const std::filesystem::path draft = path_.string() + ".new";
  const int fresh = ::open(draft.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fresh < 0) return failed("cannot be written anew", errno);
  std::uint64_t end = kMagic.size();
  bool done = write_at(fresh, 0, kMagic);
  std::map<std::uint64_t, Place> moved;
  std::string record;
  for (const auto& [id, place] : live_) {
    done = done && read_at(descriptor_, place.offset, record, static_cast<std::size_t>(place.bytes)) &&
           write_at(fresh, end, record);
    if (!done) break;
    moved.emplace(id, Place{end, place.bytes});
    end += place.bytes;
  }
  done = done && options_.sync(fresh) == 0 && rename(draft.c_str(), path_.c_str()) == 0;
  const int reason = errno;
  if (!done) {
    close(fresh);
    unlink(draft.c_str());
    return failed("cannot be written anew", reason);
  }
  sync_directory(path_.parent_path());  // if the name is lost with the power, so are results that main can do without
  close(std::exchange(descriptor_, fresh));
  live_ = std::move(moved);
  end_ = end;
  return ok_status();
}

Status OutboxFile::append(const std::string& bytes) {
  if (!write_at(descriptor_, end_, bytes)) {
    const int reason = errno;
    if (ftruncate(descriptor_, static_cast<off_t>(end_)) != 0) broken_ = "what was half written cannot be cut off";
    return failed("cannot be written", reason);
  }
  end_ += bytes.size();
  return ok_status();
}

Status OutboxFile::save(const std::vector<Record>& records) {
  if (!broken_.empty()) return Error{ErrorCode::Io, path_.string() + ": " + broken_};
  std::string bytes;
  std::vector<std::pair<std::uint64_t, Place>> places;
  for (const Record& record : records) {
    const std::size_t from = bytes.size();
    add_record(bytes, record.id, kKept, record.bytes);
    places.emplace_back(record.id, Place{from, bytes.size() - from});
  }
  if (end_ + bytes.size() > options_.bytes_max) {
    if (kMagic.size() + live_bytes_ + bytes.size() > options_.bytes_max) {
      return Error{ErrorCode::TooLarge, path_.string() + ": holds " + std::to_string(live_bytes_) +
                                            " bytes of results, and " + std::to_string(bytes.size()) +
                                            " more would be over its limit of " + std::to_string(options_.bytes_max)};
    }
    if (const Status status = rewrite(); !status.ok()) return status;
  }
  const std::uint64_t begin = end_;
  if (const Status status = append(bytes); !status.ok()) return status;
  if (options_.sync(descriptor_) != 0) {
    const Error error = failed("the disk did not confirm what was written", errno);
    broken_ = "the disk failed to confirm an earlier write; start the worker anew once the disk is in order";
    return error;
  }
  for (const auto& [id, place] : places) {
    live_.emplace(id, Place{begin + place.offset, place.bytes});
    if (id >= next_id_) next_id_ = id + 1;
    live_bytes_ += place.bytes;
  }
  return ok_status();
}

void OutboxFile::remove(std::uint64_t id) {
  const auto gone = live_.find(id);
  if (gone == live_.end()) return;
  live_bytes_ -= gone->second.bytes;
  live_.erase(gone);
  if (live_.empty()) {
    if (ftruncate(descriptor_, static_cast<off_t>(kMagic.size())) == 0) end_ = kMagic.size();
    return;
  }
  std::string record;
  add_record(record, id, kGone, {});
  // If it cannot be written, a later process sends the result once more, and main drops it.
  if (broken_.empty()) static_cast<void>(append(record));
}

}  // namespace retire::worker
