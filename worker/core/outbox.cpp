#include "worker/core/outbox.hpp"

#include <algorithm>

#include "common/model/limits.hpp"
#include "worker/core/limits.hpp"

namespace retire::worker {

std::uint64_t Outbox::add(AttemptIndex attempt, std::size_t bytes) {
  if (!batches_.empty() && !batches_.back().closed) {
    const Batch& open = batches_.back();
    if (open.count >= kBatchItemsTarget || open.bytes + bytes > kBatchBytesTarget) close();
  }
  if (batches_.empty() || batches_.back().closed) batches_.emplace_back();
  Batch& open = batches_.back();
  link_from_ = attempt == kNone ? kNone : open.tail;
  if (attempt != kNone) {
    if (open.head == kNone) open.head = attempt;
    open.tail = attempt;
  }
  open.bytes += bytes;
  ++open.count;
  bytes_ += bytes;
  return first_number_ + batches_.size() - 1;
}

void Outbox::close() {
  if (batches_.empty() || batches_.back().closed) return;
  batches_.back().closed = true;
  batches_.back().due = TimePoint::min();
  due_next_ = TimePoint::min();
}

Outbox::Batch* Outbox::find(std::uint64_t number) {
  if (number < first_number_ || number - first_number_ >= batches_.size()) return nullptr;
  Batch& batch = batches_[static_cast<std::size_t>(number - first_number_)];
  return batch.closed && !batch.done ? &batch : nullptr;
}

AttemptIndex Outbox::acknowledged(std::uint64_t number, bool& known) {
  Batch* batch = find(number);
  known = batch != nullptr;
  if (batch == nullptr) return kNone;
  batch->done = true;
  bytes_ -= batch->bytes;
  const AttemptIndex head = batch->head;
  while (!batches_.empty() && batches_.front().done) {
    batches_.pop_front();
    ++first_number_;
  }
  return head;
}

void Outbox::resend_all() {
  for (Batch& batch : batches_) batch.due = TimePoint::min();
  if (!batches_.empty()) due_next_ = TimePoint::min();
}

void Outbox::take_due(TimePoint now, std::vector<std::uint64_t>& out) {
  if (due_next_ > now) return;
  due_next_ = TimePoint::max();
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    Batch& batch = batches_[i];
    if (batch.done || !batch.closed) continue;
    if (batch.due <= now) {
      out.push_back(first_number_ + i);
      batch.due = now + kResendAfter;
    }
    due_next_ = std::min(due_next_, batch.due);
  }
}

void Outbox::not_sent(std::uint64_t number, TimePoint retry_at) {
  if (Batch* batch = find(number)) {
    batch->due = retry_at;
    due_next_ = std::min(due_next_, retry_at);
  }
}

std::optional<TimePoint> Outbox::next_deadline() const {
  if (batches_.empty() || due_next_ == TimePoint::max()) return std::nullopt;
  return due_next_;
}

}  // namespace retire::worker
