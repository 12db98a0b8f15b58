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

std::uint64_t Outbox::restore(AttemptIndex head, std::size_t bytes) {
  Batch& batch = batches_.emplace_back();
  batch.head = head;
  batch.bytes = bytes;
  batch.closed = true;
  batch.due = due_next_ = TimePoint::min();
  bytes_ += bytes;
  timed_to_ = saved_to_ = end_number();
  return end_number() - 1;
}

void Outbox::take_unsaved(TimePoint now, std::vector<std::uint64_t>& out) {
  for (timed_to_ = std::max(timed_to_, first_number_); timed_to_ < end_number(); ++timed_to_) {
    Batch& batch = batches_[static_cast<std::size_t>(timed_to_ - first_number_)];
    if (!batch.closed) break;
    batch.save_at = now + kSaveAfter;
  }
  // What was acknowledged meanwhile is never saved; usually that is all.
  for (saved_to_ = std::max(saved_to_, first_number_); saved_to_ < timed_to_; ++saved_to_) {
    const Batch& oldest = batches_[static_cast<std::size_t>(saved_to_ - first_number_)];
    if (oldest.done) continue;
    if (oldest.save_at <= now) take_all_unsaved(out);
    return;
  }
}

void Outbox::take_all_unsaved(std::vector<std::uint64_t>& out) {
  for (saved_to_ = std::max(saved_to_, first_number_); saved_to_ < end_number(); ++saved_to_) {
    const Batch& batch = batches_[static_cast<std::size_t>(saved_to_ - first_number_)];
    if (!batch.closed) return;
    if (!batch.done) out.push_back(saved_to_);
  }
}

void Outbox::not_saved(std::uint64_t number, TimePoint retry_at) {
  saved_to_ = std::min(saved_to_, std::max(number, first_number_));
  for (std::uint64_t i = saved_to_; i < timed_to_; ++i) {
    batches_[static_cast<std::size_t>(i - first_number_)].save_at = retry_at;
  }
}

std::optional<TimePoint> Outbox::save_deadline() const {
  for (std::uint64_t i = std::max(saved_to_, first_number_); i < std::min(timed_to_, end_number()); ++i) {
    const Batch& batch = batches_[static_cast<std::size_t>(i - first_number_)];
    if (!batch.done) return batch.save_at;
  }
  return std::nullopt;
}

}  // namespace retire::worker
