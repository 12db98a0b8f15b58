// The file MARK, and the look into the write-ahead logs.
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "broker/store/bytes.hpp"
#include "broker/store/disk.hpp"
#include "common/base/failpoint.hpp"

namespace retire::store {
namespace {

constexpr char kMarkName[] = "/MARK";
constexpr std::uint64_t kMarkMagic = 0x4b52414d'52545352;  // "RSTRMARK"
constexpr std::size_t kMarkBytes = 8 + 4 + 4 + 8 + 8 + 8 + 8;

Error failed(const std::string& what, const rocksdb::Status& status) {
  return {ErrorCode::StorageFailed, what + ": " + status.ToString()};
}

}  // namespace

Result<std::optional<Mark>> read_mark(rocksdb::Env& env, const std::string& directory) {
  const std::string path = directory + kMarkName;
  if (env.FileExists(path).IsNotFound()) return std::optional<Mark>();
  std::string text;
  if (const auto status = rocksdb::ReadFileToString(&env, path, &text); !status.ok()) {
    return failed("cannot read " + path, status);
  }
  ByteReader reader(text);
  const auto magic = reader.get<std::uint64_t>();
  Mark mark;
  mark.schema = reader.get<std::uint32_t>();
  const auto state = reader.get<std::uint32_t>();
  mark.state = static_cast<Mark::State>(state);
  mark.salt = reader.get<std::uint64_t>();
  mark.first = reader.get<std::uint64_t>();
  mark.at_least = reader.get<std::uint64_t>();
  const auto checksum = reader.get<std::uint64_t>();
  if (reader.ok() && magic == kMarkMagic && mark.schema > kSchema) {
    return Error{ErrorCode::StorageFailed, "the store in " + directory + " has schema version " +
                                               std::to_string(mark.schema) + ", this program knows " +
                                               std::to_string(kSchema) + " and before; use the newer program"};
  }
  if (!reader.at_end() || magic != kMarkMagic || checksum != XXH3_64bits(text.data(), kMarkBytes - 8) || state < 1 ||
      state > 3 || mark.schema == 0 || mark.first == 0) {
    return Error{ErrorCode::StorageFailed,
                 path + " is damaged (" + std::to_string(text.size()) + " bytes); restore a backup"};
  }
  return std::optional<Mark>(mark);
}

Status write_mark(rocksdb::Env& env, const std::string& directory, const Mark& mark) {
  std::string text(kMarkBytes, '\0');
  ByteWriter writer(text.data());
  writer.put(kMarkMagic);
  writer.put(mark.schema);
  writer.put(static_cast<std::uint32_t>(mark.state));
  writer.put(mark.salt);
  writer.put(mark.first);
  writer.put(mark.at_least);
  writer.put(std::uint64_t{XXH3_64bits(text.data(), kMarkBytes - 8)});
  const std::string path = directory + kMarkName;
  const std::string fresh = path + ".new";
  if (const auto status = rocksdb::WriteStringToFile(&env, text, fresh, true); !status.ok()) {
    return failed("cannot write " + fresh, status);
  }
  failpoint(Failpoint::MarkDue);
  if (const auto status = env.RenameFile(fresh, path); !status.ok()) return failed("cannot rename " + fresh, status);
  failpoint(Failpoint::MarkRenamed);
  std::unique_ptr<rocksdb::Directory> entries;
  if (const auto status = env.NewDirectory(directory, &entries); !status.ok()) {
    return failed("cannot open " + directory, status);
  }
  if (const auto status = entries->Fsync(); !status.ok()) return failed("cannot fsync " + directory, status);
  return ok_status();
}

Result<std::uint64_t> highest_in_logs(rocksdb::Env& env, const std::string& directory, std::uint64_t salt) {
  // RocksDB's log is a row of blocks of 32 KiB, each piece of a record behind a header of 7 bytes. What is cut by the
  // end of a block goes on 7 bytes into the next, so with those bytes left out each header of ours lies in one piece.
  constexpr std::size_t kBlock = 32'768;
  constexpr std::size_t kPieceHeader = 7;
  std::vector<std::string> names;
  if (const auto status = env.GetChildren(directory, &names); !status.ok()) {
    return failed("cannot list " + directory, status);
  }
  std::string needle(8, '\0');
  std::memcpy(needle.data(), &salt, sizeof salt);
  std::uint64_t highest = 0;
  for (const std::string& name : names) {
    if (!name.ends_with(".log") ||
        !std::all_of(name.begin(), name.end() - 4, [](char c) { return c >= '0' && c <= '9'; })) {
      continue;
    }
    std::string bytes;
    if (const auto status = rocksdb::ReadFileToString(&env, directory + "/" + name, &bytes); !status.ok()) {
      return failed("cannot read " + directory + "/" + name, status);
    }
    std::string joined;
    joined.reserve(bytes.size());
    for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
      const std::size_t size = std::min(kBlock, bytes.size() - at);
      if (size > kPieceHeader) joined.append(bytes, at + kPieceHeader, size - kPieceHeader);
    }
    for (std::size_t at = joined.find(needle); at != std::string::npos; at = joined.find(needle, at + 1)) {
      const Result<Header> header = read_header(std::string_view(joined).substr(at), salt);
      if (header.ok()) highest = std::max(highest, header.value().last);
    }
  }
  return highest;
}

}  // namespace retire::store
