#include <poll.h>

#include <algorithm>
#include <limits>

#include "broker/store/engine.hpp"

namespace retire::store {
namespace {

constexpr std::uint64_t kMeasureEvery = 4;  // rounds

}  // namespace

void Keeper::start() {
  measure();
  used_ = shared_.disk->used_bytes();
  thread_ = std::thread([this] { run(); });
}

void Keeper::stop() {
  stopping_ = true;
  wake_.ring();
  if (thread_.joinable()) thread_.join();
}

void Keeper::measure() {
  pushed_ = shared_.pushed_bytes.load();  // first: what comes meanwhile counts twice rather than not at all
  unflushed_ = shared_.disk->unflushed_bytes();
  free_ = shared_.disk->free_bytes();
}

// A log is given back only after what it holds has been written to a data file as well: what has come since the disk
// was looked at is written twice, and what lies in memory once.
Space Keeper::space() const {
  const std::uint64_t free = free_;
  if (free == std::numeric_limits<std::uint64_t>::max()) return {used_, free, false};
  const std::uint64_t to_write = unflushed_ + 2 * (shared_.pushed_bytes - pushed_);
  const std::uint64_t left = free > to_write ? free - to_write : 0;
  return {used_, left, left < options_.store.reserve_bytes};
}

void Keeper::run() {
  const auto interval = std::chrono::duration_cast<std::chrono::milliseconds>(options_.keeper_interval);
  while (!stopping_ && !shared_.failed()) {
    pollfd waits{wake_.descriptor(), POLLIN, 0};
    ::poll(&waits, 1, static_cast<int>(interval.count()));
    if (stopping_ || shared_.failed()) return;
    measure();
    if (rounds_++ % kMeasureEvery == 0) used_ = shared_.disk->used_bytes();
    if (const Status done = round(); !done.ok()) shared_.fail(done.error());
  }
}

Status Keeper::round() {
  if (Status health = shared_.disk->health(); !health.ok()) return health;
  const std::unique_lock structure(shared_.disk->structure(), std::try_to_lock);
  if (!structure) return ok_status();  // a backup is being made: nothing moves; the next round does it
  std::uint64_t durable = 0;
  std::uint64_t first = 0;
  std::vector<TidyRun> runs;
  {
    const std::lock_guard lock(shared_.ledger_mutex);
    durable = shared_.durable_batch;
    const std::uint64_t before = shared_.ledger.bytes();
    first = shared_.ledger.trim(durable + 1);
    given_up_bytes_ += before - shared_.ledger.bytes();
    runs = shared_.ledger.plan(options_.tidy);
    if (shared_.ledger.is_loaded() && shared_.ledger.bytes() > options_.tidy.garbage_bytes_min) {
      shared_.move_devices_before = shared_.ledger.middle();
    }
  }
  if (Status noted = shared_.disk->note_flushed(durable); !noted.ok()) return noted;
  // Before a Forgotten record goes, what it is about must be gone for good, over a restart too.
  if (given_up_bytes_ >= options_.drop_bytes_min || (!runs.empty() && first > shared_.disk->first())) {
    given_up_bytes_ = 0;
    if (Status dropped = shared_.disk->drop_before(first, durable); !dropped.ok()) return dropped;
  }
  for (const TidyRun& run : runs) {
    if (stopping_) return ok_status();
    if (Status tidied = tidy_run(run); !tidied.ok()) return tidied;
    if (to_reclaim_.bytes == 0) to_reclaim_.first = run.parts.front().first;
    to_reclaim_.first = std::min(to_reclaim_.first, run.parts.front().first);
    to_reclaim_.last = std::max(to_reclaim_.last, run.last);
    to_reclaim_.bytes += run.garbage_bytes;
  }
  // What was rewritten lies on the disk until the data files it was in are.
  if (to_reclaim_.bytes < options_.tidy.garbage_bytes_min || stopping_) return ok_status();
  Status reclaimed = shared_.disk->reclaim(to_reclaim_.first, to_reclaim_.last);
  to_reclaim_ = {};
  return reclaimed;
}

Status Keeper::tidy_run(const TidyRun& run) {
  SegmentWriter writer;
  Ledger::Found found;
  Header header{.first = run.parts.front().first, .last = run.last};
  std::vector<std::uint64_t> parts;
  for (const TidyRun::Part& part : run.parts) {
    Result<std::shared_ptr<Segment>> read = shared_.disk->read(part.first);
    if (!read.ok()) return read.error();
    const Segment& segment = *read.value();
    header.lowest = segment.header().lowest;
    parts.push_back(part.first);
    Segment::Cursor cursor(segment);
    while (const std::optional<EntryHead> head = cursor.next()) {
      if (head->type == kSpecEntry || run.dead.contains(head->position)) continue;
      if (head->type == static_cast<std::uint8_t>(Record::Kind::Forgotten)) {
        const std::lock_guard lock(shared_.ledger_mutex);
        if (shared_.ledger.forgettable(head->of, run)) continue;
        ++found.forgotten;
      } else {
        ++found.needed;
        if (is_passing(static_cast<Record::Kind>(head->type))) {
          ++found.passing;
          found.passing_bytes += head->size;
        }
      }
      if (!writer.keep(*head, segment)) {
        return Error{ErrorCode::StorageFailed,
                     "batch " + std::to_string(part.first) + " of the store names a spec that it does not have"};
      }
    }
    if (cursor.damaged()) {
      return Error{ErrorCode::StorageFailed, "batch " + std::to_string(part.first) +
                                                 " of the store cannot be read at byte " +
                                                 std::to_string(cursor.place())};
    }
  }
  writer.finish(header, shared_.disk->salt());
  found.bytes = static_cast<std::uint32_t>(writer.bytes());
  if (Status replaced = shared_.disk->replace(parts, writer.value(), writer.ids()); !replaced.ok()) return replaced;
  const std::lock_guard lock(shared_.ledger_mutex);
  shared_.ledger.tidied(run, found);
  return ok_status();
}

}  // namespace retire::store
