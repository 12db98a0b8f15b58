#include "broker/store/admin_verbs.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "broker/store/admin.hpp"
#include "broker/store/backup.hpp"
#include "broker/store/disk.hpp"

namespace retire::store {
namespace {

Status check_there(const std::string& data_dir) {
  const std::string store = data_dir + "/store";
  struct stat found {};
  if (::stat((store + "/CURRENT").c_str(), &found) == 0 || ::stat((store + "/MARK").c_str(), &found) == 0) {
    return ok_status();
  }
  return Error{ErrorCode::Configuration,
               "there is no store in " + data_dir + "; give the data directory of a main with --data-dir"};
}

Result<Figures> ask(const std::string& data_dir, const std::string& request) {
  if (const Status there = check_there(data_dir); !there.ok()) return there.error();  // a main that keeps nothing
  const Result<std::string> answer = ask_main(data_dir + "/store", request);
  if (!answer.ok()) return answer.error();
  return parse_figures(answer.value());
}

// For what changes it.
Result<std::unique_ptr<Disk>> open(const std::string& data_dir) {
  if (const Status there = check_there(data_dir); !there.ok()) return there.error();
  return Disk::open(data_dir + "/store", *rocksdb::Env::Default());
}

}  // namespace

std::string to_text(const Figures& figures) {
  std::string out;
  for (const auto& [name, value] : figures) out += " " + name + "=" + std::to_string(value);
  return out;
}

Result<Figures> parse_figures(const std::string& text) {
  Figures out;
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::size_t equals = text.find('=', at);
    std::uint64_t value = 0;
    const char* const stop = text.data() + end;
    const bool has_value = equals < end && equals + 1 < end;
    const auto [read, error] =
        has_value ? std::from_chars(text.data() + equals + 1, stop, value) : std::from_chars_result{nullptr, {}};
    if (read != stop || error != std::errc()) {
      return Error{ErrorCode::Malformed, "main has answered \"" + text + "\""};
    }
    out.emplace_back(text.substr(at, equals - at), value);
    at = end;
  }
  return out;
}

Result<Figures> backup_figures(Disk& disk, const std::string& data_dir, const std::string& target) {
  const Result<Backup> made = make_backup(disk, data_dir, target);
  if (!made.ok()) return made.error();
  return Figures{{"bytes", made.value().bytes}, {"epoch", made.value().epoch}};
}

Result<Figures> verify_figures(Disk& disk, std::uint64_t last, const std::atomic<bool>* stop) {
  const Result<std::uint64_t> records = disk.verify(last, stop);
  if (!records.ok()) return records.error();
  return Figures{{"records", records.value()}, {"batches", last}};
}

Result<Figures> compact_figures(Disk& disk, std::atomic<bool>* stop) {
  const std::uint64_t before = disk.used_bytes();
  if (const Status done = disk.compact(stop); !done.ok()) return done.error();
  return Figures{{"bytes_before", before}, {"bytes_after", disk.used_bytes()}};
}

Result<Figures> backup_store(const std::string& data_dir, const std::string& target, bool running) {
  if (running) return ask(data_dir, "backup " + target);
  const Result<std::unique_ptr<Disk>> disk = open(data_dir);
  if (!disk.ok()) return disk.error();
  Result<Figures> made = backup_figures(*disk.value(), data_dir, target);
  if (const Status closed = disk.value()->close(disk.value()->found().last); !closed.ok()) return closed.error();
  return made;
}

Result<Figures> verify_store(const std::string& data_dir, bool running) {
  if (running) return ask(data_dir, "verify");
  if (const Status there = check_there(data_dir); !there.ok()) return there.error();
  const Result<std::unique_ptr<Disk>> disk = Disk::open_read_only(data_dir + "/store", *rocksdb::Env::Default());
  if (!disk.ok()) return disk.error();
  const Disk::Found& found = disk.value()->found();
  Result<Figures> figures = verify_figures(*disk.value(), found.last, nullptr);
  if (figures.ok()) {
    figures.value().emplace_back("closed_in_order", found.clean ? 1 : 0);
    figures.value().emplace_back("dropped_batches", found.dropped_batches);
  }
  return figures;
}

Result<Figures> compact_store(const std::string& data_dir, bool running) {
  if (running) return ask(data_dir, "compact");
  const Result<std::unique_ptr<Disk>> disk = open(data_dir);
  if (!disk.ok()) return disk.error();
  const Result<Figures> done = compact_figures(*disk.value(), nullptr);
  if (!done.ok()) return done.error();
  if (const Status closed = disk.value()->close(disk.value()->found().last); !closed.ok()) return closed.error();
  return done;
}

}  // namespace retire::store
