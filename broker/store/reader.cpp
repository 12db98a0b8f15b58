#include <algorithm>

#include "broker/store/engine.hpp"

namespace retire::store {
namespace {

constexpr std::size_t kChunkBytesMax = std::size_t{32} << 20;   // read ahead of the loop
constexpr std::size_t kAnswerBytesMax = std::size_t{64} << 20;  // fetched and not taken yet
constexpr std::size_t kCachedMax = 8;
constexpr std::size_t kCachedBytesMax = std::size_t{64} << 20;

bool is(const EntryHead& head, Record::Kind kind) { return head.type == static_cast<std::uint8_t>(kind); }

}  // namespace

void Reader::start(const Disk::Found& found) {
  last_ = found.last;
  lowest_ = found.lowest;
  border_ = make_position(lowest_, 0);
  step_ = shared_.disk->first() > last_ ? Step::Done : Step::Queue;
  if (step_ == Step::Queue) scan_ = shared_.disk->scan(Disk::Family::Records, lowest_, last_);
  thread_ = std::thread([this] { run(); });
}

void Reader::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  scan_ = {};
}

Result<std::optional<Reader::Chunk>> Reader::next_chunk() {
  std::optional<Chunk> out;
  {
    const std::lock_guard lock(mutex_);
    if (!chunks_.empty()) {
      out = std::move(chunks_.front());
      chunks_.pop_front();
      if (out->segment) chunk_bytes_ -= out->segment->bytes();
    } else if (!load_error_.empty()) {
      return Error{ErrorCode::StorageFailed, load_error_};
    }
    pending_.store(!chunks_.empty() || !answers_.empty());
  }
  if (out) wake_.notify_one();
  return out;
}

void Reader::ask(Position position, std::uint64_t token) {
  {
    const std::lock_guard lock(mutex_);
    asked_.emplace_back(position, token);
  }
  wake_.notify_one();
}

bool Reader::take(Answer& out) {
  {
    const std::lock_guard lock(mutex_);
    if (answers_.empty()) return false;
    out = std::move(answers_.front());
    answers_.pop_front();
    if (out.segment) answer_bytes_ -= out.segment->bytes();
    pending_.store(!chunks_.empty() || !answers_.empty());
  }
  wake_.notify_one();
  return true;
}

void Reader::run() {
  while (true) {
    std::optional<std::pair<Position, std::uint64_t>> asked;
    {
      std::unique_lock lock(mutex_);
      const auto may_answer = [&] { return !asked_.empty() && answer_bytes_ < kAnswerBytesMax; };
      const auto may_load = [&] { return step_ != Step::Done && load_error_.empty() && chunk_bytes_ < kChunkBytesMax; };
      wake_.wait(lock, [&] { return stopping_ || may_answer() || may_load(); });
      if (stopping_) return;
      if (may_answer()) {
        asked = asked_.front();
        asked_.pop_front();
      }
    }
    if (asked) {
      answer(asked->first, asked->second);
    } else {
      load_step();
    }
  }
}

// Counts what a segment holds, for the ledger. Says too whether it has records of tasks before the border.
Ledger::Found Reader::look(const Segment& segment, bool& has_history) const {
  Ledger::Found found;
  found.bytes = static_cast<std::uint32_t>(segment.bytes());
  has_history = false;
  Segment::Cursor cursor(segment);
  while (const std::optional<EntryHead> head = cursor.next()) {
    if (head->type == kSpecEntry) continue;
    if (is(*head, Record::Kind::Forgotten)) {
      ++found.forgotten;
    } else {
      ++found.needed;
      if (is_passing(static_cast<Record::Kind>(head->type))) {
        ++found.passing;
        found.passing_bytes += head->size;
      }
    }
    if (is(*head, Record::Kind::Submitted)) ++found.submitted;
    if (is(*head, Record::Kind::Ended)) found.ended.push_back(head->of);
    if (is(*head, Record::Kind::Requeued)) found.requeued.push_back(head->of);
    if ((head->of != 0 ? head->of : head->position) < border_) has_history = true;
  }
  return found;
}

void Reader::load_step() {
  if (step_ == Step::Again) {
    if (again_.empty()) {
      step_ = Step::Done;
      offer({});
      return;
    }
    Result<std::shared_ptr<Segment>> segment = shared_.disk->read(again_.front());
    again_.pop_front();
    if (!segment.ok() || segment.value() == nullptr) {
      const std::lock_guard lock(mutex_);
      load_error_ = segment.ok() ? "a batch has vanished while the store was loaded" : segment.error().detail;
      shared_.bell.ring();
      return;
    }
    offer({std::move(segment.value()), true});
    return;
  }
  Result<std::shared_ptr<Segment>> segment = scan_.next();
  if (!segment.ok()) {
    const std::lock_guard lock(mutex_);
    load_error_ = segment.error().detail;
    shared_.bell.ring();
    return;
  }
  if (segment.value() == nullptr) {
    if (step_ == Step::Queue) {
      step_ = Step::History;
      scan_ = shared_.disk->scan(Disk::Family::Records, shared_.disk->first(), lowest_ - 1);
    } else {
      step_ = Step::Again;
      scan_ = {};
    }
    return;
  }
  const std::uint64_t first = segment.value()->header().first;
  const bool history = step_ == Step::History;
  // A segment that reaches over the border is read in both phases, and counted in the first.
  if (!history || segment.value()->header().last < lowest_) {
    bool has_history = false;
    const Ledger::Found found = look(*segment.value(), has_history);
    if (!history && has_history && first >= lowest_) again_.push_back(first);
    const std::lock_guard lock(shared_.ledger_mutex);
    shared_.ledger.found(first, found);
  }
  offer({std::move(segment.value()), history});
}

void Reader::offer(Chunk chunk) {
  {
    const std::lock_guard lock(mutex_);
    if (chunk.segment) chunk_bytes_ += chunk.segment->bytes();
    chunks_.push_back(std::move(chunk));
    pending_.store(true);
  }
  shared_.bell.ring();
}

void Reader::answer(Position position, std::uint64_t token) {
  const std::uint64_t batch = batch_of(position);
  Answer out;
  out.token = token;
  out.position = position;
  const auto cached = std::find_if(cache_.begin(), cache_.end(), [&](const std::shared_ptr<Segment>& segment) {
    return segment->header().first <= batch && batch <= segment->header().last;
  });
  if (cached != cache_.end()) {
    out.segment = *cached;
  } else {
    Result<std::shared_ptr<Segment>> segment = shared_.disk->read(batch);
    if (segment.ok()) {
      out.segment = std::move(segment.value());
      cache_.push_front(out.segment);
      cached_bytes_ += out.segment->bytes();
      while (cache_.size() > 1 && (cache_.size() > kCachedMax || cached_bytes_ > kCachedBytesMax)) {
        cached_bytes_ -= cache_.back()->bytes();
        cache_.pop_back();
      }
    } else {
      out.error = segment.error().detail;
    }
  }
  {
    const std::lock_guard lock(mutex_);
    if (out.segment) answer_bytes_ += out.segment->bytes();
    answers_.push_back(std::move(out));
    pending_.store(true);
  }
  shared_.bell.ring();
}

}  // namespace retire::store
