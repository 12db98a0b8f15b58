#include "broker/store/embedded_store.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <unordered_map>

#include "broker/store/administrator.hpp"
#include "broker/store/engine.hpp"
#include "common/base/assert.hpp"
#include "common/base/failpoint.hpp"

namespace retire::store {
namespace {

constexpr std::size_t kBatchBytesMax = std::size_t{8} << 20;
constexpr std::size_t kAhead = 16;  // entries; a look into memory takes as long as a few of them

class EmbeddedStore final : public Store {
 public:
  EmbeddedStore(const EmbeddedOptions& options, std::unique_ptr<Disk> disk)
      : writer_(shared_), reader_(shared_), keeper_(shared_, options), administrator_(shared_) {
    shared_.disk = std::move(disk);
  }
  ~EmbeddedStore() override { stop_threads(); }

  Status start(bool serve_admin, const std::string& directory);

  Position append(const Record& record) override;
  void submit() override;
  Result<Position> durable() override;
  int readable() const override { return shared_.bell.descriptor(); }
  bool is_durable() const override { return true; }
  std::size_t backlog_bytes() const override { return writer_.backlog_bytes() + open_->batch.bytes() - kHeaderBytes; }
  void release(Position position) override { open_->batch.release(position); }
  bool fetch(Position position, std::uint64_t token) override;
  std::size_t fetched(std::size_t max, const Fetched& visit) override;
  Loading loading() const override { return loading_; }
  Result<std::size_t> recover(std::size_t max, const Visit& visit) override;
  void tell_coming(Coming coming) override { coming_ = std::move(coming); }
  bool may_know(const TaskId& id) const override { return loading_ != Loading::Done && filter_.may_hold(id.high()); }
  Opened opened() const override { return opened_; }
  std::string settings() const override { return shared_.disk->found().settings; }
  Space space() const override { return keeper_.space(); }
  Status close() override;

 private:
  void open_batch(std::uint64_t number);
  void hand_over();
  bool is_latest(const Record& record, Position position);
  void note_device(const Record& record, Position position);
  void move_devices(std::uint64_t before);
  void look_ahead(std::size_t entries);
  void stop_threads();

  Shared shared_;
  Writer writer_;
  Reader reader_;
  Keeper keeper_;
  Administrator administrator_;

  // The loop's.
  std::unique_ptr<Writer::Work> open_;
  struct Known {
    Position position = 0;
    std::string bytes;
  };
  std::unordered_map<std::string, Known> devices_;  // the latest record of each
  std::size_t fetching_ = 0;
  Loading loading_ = Loading::Queue;
  std::optional<Reader::Chunk> chunk_;
  std::optional<Segment::Cursor> cursor_;
  std::optional<Segment::Cursor> ahead_;  // of the cursor
  Coming coming_;
  DecodedRecord decoded_;
  IdFilter filter_;
  Opened opened_;
};

Status EmbeddedStore::start(bool serve_admin, const std::string& directory) {
  Disk& disk = *shared_.disk;
  const Disk::Found& found = disk.found();
  opened_ = {.fresh = found.fresh, .clean = found.clean, .dropped_batches = found.dropped_batches};
  // The lists of IDs are small: which batches there are, and who may be in them.
  std::vector<std::uint64_t> prefixes;
  Disk::Scan lists = disk.scan(Disk::Family::Ids, disk.first(), found.last);
  while (true) {
    Result<std::shared_ptr<Segment>> next = lists.next();
    if (!next.ok()) return next.error();
    if (next.value() == nullptr) break;
    const Header& header = next.value()->header();
    shared_.ledger.add(header.first, header.last);
    next.value()->append_words(prefixes);
    ++opened_.batches;
  }
  opened_.tasks = prefixes.size();
  filter_ = IdFilter(prefixes.size());
  for (const std::uint64_t prefix : prefixes) filter_.add(prefix);
  shared_.ledger.hold_lowest(found.lowest);
  shared_.durable_batch = found.last;
  shared_.durable = end_of(found.last);
  if (opened_.batches == 0) {
    loading_ = Loading::Done;
    shared_.ledger.loaded();
  }
  open_batch(found.last + 1);

  if (serve_admin) {
    Result<std::unique_ptr<AdminSocket>> made = AdminSocket::listen(directory);
    if (!made.ok()) return made.error();
    administrator_.start(std::move(made.value()), directory);
  }
  writer_.start();
  reader_.start(found);
  keeper_.start();
  return ok_status();
}

void EmbeddedStore::open_batch(std::uint64_t number) {
  open_ = writer_.spare();
  open_->loaded = false;
  open_->batch.begin(number);
}

void EmbeddedStore::hand_over() {
  const std::uint64_t next = open_->batch.number() + (open_->batch.records() > 0 ? 1 : 0);
  writer_.push(std::move(open_));
  open_batch(next);
}

Position EmbeddedStore::append(const Record& record) {
  if (open_->batch.bytes() >= kBatchBytesMax) hand_over();
  const Position position = open_->batch.append(record);
  if (record.kind == Record::Kind::Device) note_device(record, position);
  // They are kept beside the batches; the entry in the batch only gives them their place.
  if (record.kind == Record::Kind::Settings) open_->batch.release(position);
  return position;
}

void EmbeddedStore::note_device(const Record& record, Position position) {
  Known& latest = devices_[std::string(record.task.device_id)];
  if (latest.position != 0) open_->batch.release(latest.position);
  latest.position = position;
  latest.bytes = record.device;
}

// So that what lies around them can be given up.
void EmbeddedStore::move_devices(std::uint64_t before) {
  Record record;
  record.kind = Record::Kind::Device;
  for (auto& [device_id, latest] : devices_) {
    if (batch_of(latest.position) >= before) continue;
    record.task.device_id = device_id;
    record.device = latest.bytes;
    open_->batch.release(latest.position);
    latest.position = open_->batch.append(record);
  }
}

void EmbeddedStore::submit() {
  if (loading_ == Loading::Done) {
    if (const std::uint64_t before = shared_.move_devices_before.exchange(0); before != 0) move_devices(before);
  }
  if (open_->batch.empty() && !open_->loaded) return;
  // While the writer has something to do after what it does now, this one goes on gathering.
  if (writer_.idle()) hand_over();
}

Result<Position> EmbeddedStore::durable() {
  shared_.bell.clear();
  if (shared_.failed()) return shared_.failure();
  if (reader_.has_news()) shared_.bell.ring();
  return shared_.durable.load();
}

bool EmbeddedStore::fetch(Position position, std::uint64_t token) {
  RC_ASSERT(position <= shared_.durable.load());
  if (fetching_ == kFetchesMax) return false;
  ++fetching_;
  reader_.ask(position, token);
  return true;
}

std::size_t EmbeddedStore::fetched(std::size_t max, const Fetched& visit) {
  Reader::Answer answer;
  std::size_t count = 0;
  for (; count < max && reader_.take(answer); ++count) {
    --fetching_;
    if (!answer.segment) {
      visit(answer.token, Error{ErrorCode::StorageFailed, answer.error});
      continue;
    }
    const std::optional<EntryHead> head = answer.segment->find(answer.position);
    if (!head) {
      visit(answer.token, Error{ErrorCode::NotFound, "no record at position " + std::to_string(answer.position)});
    } else if (!answer.segment->decode(*head, decoded_)) {
      visit(answer.token, Error{ErrorCode::StorageFailed,
                                "the record at position " + std::to_string(answer.position) + " cannot be read"});
    } else {
      visit(answer.token, static_cast<const Record*>(&decoded_.record));
    }
  }
  return count;
}

// Whether this is the latest record of the device that has been seen; the other one is not needed any more.
bool EmbeddedStore::is_latest(const Record& record, Position position) {
  Known& latest = devices_[std::string(record.task.device_id)];
  if (latest.position == position) return false;  // seen in the first phase
  if (latest.position != 0) open_->batch.release(std::min(latest.position, position));
  if (latest.position > position) return false;
  latest.position = position;
  latest.bytes = record.device;
  return true;
}

void EmbeddedStore::look_ahead(std::size_t entries) {
  if (!coming_) return;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::optional<EntryHead> head = ahead_->next();
    if (!head) return;
    if (const std::optional<TaskId> id = task_id(*head)) coming_(*id);
  }
}

Result<std::size_t> EmbeddedStore::recover(std::size_t max, const Visit& visit) {
  std::size_t count = 0;
  while (count < max && loading_ != Loading::Done) {
    if (!cursor_) {
      Result<std::optional<Reader::Chunk>> next = reader_.next_chunk();
      if (!next.ok()) return next.error();
      if (!next.value()) return count;
      chunk_ = std::move(next.value());
      if (chunk_->segment == nullptr) {
        loading_ = Loading::Done;
        chunk_.reset();
        filter_ = IdFilter();
        open_->loaded = true;  // what is released from now on need not be waited for before tidying
        return count;
      }
      if (chunk_->history) loading_ = Loading::History;
      cursor_.emplace(*chunk_->segment);
      ahead_.emplace(*chunk_->segment);
      look_ahead(kAhead);
    }
    look_ahead(1);
    const std::optional<EntryHead> head = cursor_->next();
    if (!head) {
      const bool damaged = cursor_->damaged();
      const std::size_t place = cursor_->place();
      cursor_.reset();
      if (damaged) {
        return Error{ErrorCode::StorageFailed, "batch " + std::to_string(chunk_->segment->header().first) +
                                                   " in column family records cannot be read at byte " +
                                                   std::to_string(place) + "; restore a backup"};
      }
      continue;
    }
    if (head->type == kSpecEntry) continue;
    ++count;
    const bool is_history = (head->of != 0 ? head->of : head->position) < reader_.border();
    if (is_history != chunk_->history) continue;
    if (!chunk_->segment->decode(*head, decoded_)) {
      return Error{ErrorCode::StorageFailed,
                   "batch " + std::to_string(chunk_->segment->header().first) +
                       " in column family records has an entry that cannot be read before byte " +
                       std::to_string(cursor_->place()) + "; restore a backup"};
    }
    const Record& record = decoded_.record;
    if (record.kind == Record::Kind::Settings) {
      open_->batch.release(head->position);
      continue;
    }
    if (record.kind == Record::Kind::Device && !is_latest(record, head->position)) continue;
    visit(head->position, record);
  }
  return count;
}

void EmbeddedStore::stop_threads() {
  administrator_.stop();
  keeper_.stop();
  reader_.stop();
  writer_.stop();
}

Status EmbeddedStore::close() {
  cursor_.reset();
  chunk_.reset();
  if (!open_->batch.empty()) hand_over();
  writer_.stop();
  stop_threads();
  if (shared_.failed()) return shared_.failure();
  failpoint(Failpoint::Closing);
  return shared_.disk->close(shared_.durable_batch);
}

}  // namespace

Result<std::unique_ptr<Store>> open_embedded(const EmbeddedOptions& options) {
  rocksdb::Env& env = options.env != nullptr ? *options.env : *rocksdb::Env::Default();
  const std::string& directory = options.store.directory;
  if (directory.empty()) return Error{ErrorCode::Configuration, "an embedded store needs a directory"};
  if (options.env == nullptr && ::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return Error{ErrorCode::Configuration, "the store's directory " + directory + " cannot be made: " +
                                               std::string(std::strerror(errno)) + "; see --data-dir"};
  }
  Result<std::unique_ptr<Disk>> disk = Disk::open(directory, env, options.memtable_bytes);
  if (!disk.ok()) return disk.error();
  auto store = std::make_unique<EmbeddedStore>(options, std::move(disk.value()));
  if (const Status started = store->start(options.serve_admin, directory); !started.ok()) return started.error();
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace retire::store
