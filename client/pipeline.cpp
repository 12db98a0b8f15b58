// Tasks that are posted in a stream, and the events that tell what became of them.
#include <algorithm>

#include "client/impl.hpp"

namespace retire::client {
namespace {

constexpr std::size_t kBatchTasks = 512;
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;

}  // namespace

TaskId Client::Impl::post(const TaskSpec& spec, ByteView payload, ByteView metadata, std::optional<TaskId> id) {
  if (batch_.count() > 0 && batch_.bytes() + payload.size() + metadata.size() > kBatchBytes) flush();
  const TaskId task = id ? *id : new_id();
  batch_.add(task, spec_index(spec), payload, metadata);
  batch_ids_.push_back(task);
  if (batch_.count() >= kBatchTasks) flush();
  return task;
}

std::uint32_t Client::Impl::spec_index(const TaskSpec& spec) {
  constexpr std::size_t kLookBack = 8;
  const std::size_t count = batch_specs_.size();
  for (std::size_t i = 0; i < std::min(count, kLookBack); ++i) {
    if (batch_specs_[count - 1 - i].second == spec) return batch_specs_[count - 1 - i].first;
  }
  const std::uint32_t index = batch_.add_spec(spec);
  batch_specs_.emplace_back(index, spec);
  return index;
}

void Client::Impl::flush() {
  if (batch_.count() == 0) return;
  const std::uint64_t correlation = core_.next_correlation();
  std::string frame = batch_.take(correlation);
  batch_specs_.clear();
  unacknowledged_ += batch_ids_.size();
  unacknowledged_bytes_ += frame.size();
  std::vector<TaskId> ids;
  ids.reserve(kBatchTasks);
  ids.swap(batch_ids_);
  const TimePoint moment = now();
  core_.submit(correlation, std::move(frame), std::move(ids), options_.notify, after(moment, options_.submit_timeout),
               moment);
  send();
}

Result<bool> Client::Impl::poll(Duration timeout, Events& events) {
  flush();
  told_ = false;
  tell_kept(events);
  pump(told_ ? Duration::zero() : timeout, &events);
  if (core_.refused()) return *core_.refused();
  return told_;
}

void Client::Impl::await(const std::vector<TaskId>& ids) { core_.await(ids, now()), send(); }

void Client::Impl::forget(const std::vector<TaskId>& ids) { core_.forget(ids, now()), send(); }

void Client::Impl::salvage(Core::Failed& failed) {
  std::vector<TaskId>& tasks = failed.request.tasks;
  if (!failed.index || *failed.index == 0 || *failed.index >= tasks.size()) return;
  const auto good = static_cast<std::size_t>(*failed.index);
  std::uint64_t correlation = 0;
  const Result<protocol::Envelope> envelope = protocol::decode_envelope(failed.request.frame, correlation);
  Submit submit;
  if (!envelope.ok() || !protocol::decode(envelope.value().body, submit).ok()) return;
  for (std::size_t i = 0; i < good; ++i) {
    const SubmitItem& item = submit.tasks.at(i);
    post(submit.specs.at(item.spec), item.payload, item.metadata, item.id);
  }
  flush();
  tasks.erase(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(good));
  unacknowledged_ -= good;  // counted again by post()
  failed.index = 0;
}

void Client::Impl::tell_ended(Events& events) {
  while (!ended_.empty()) {
    const Ended ended = std::move(ended_.front());
    ended_.pop_front();
    unacknowledged_ -= ended.tasks.size();
    unacknowledged_bytes_ -= ended.bytes;
    told_ = true;
    if (ended.error) {
      events.on_refused(ended.tasks, *ended.error, ended.index);
    } else {
      events.on_submitted(ended.tasks);
    }
  }
}

void Client::Impl::tell_results(ByteView body, Events& events) {
  // `submitted` comes before any result of its tasks, and is told before.
  tell_ended(events);
  if (!protocol::decode(body, results_).ok()) return;
  for (const ResultItem& item : results_.results) {
    if (!core_.on_result(item.id)) continue;
    told_ = true;
    events.on_result(item, device_of(item));
  }
}

void Client::Impl::tell_kept(Events& events) {
  settle(&events);
  while (!kept_frames_.empty()) {
    const net::Frame frame = std::move(kept_frames_.front());
    kept_frames_.pop_front();
    std::uint64_t correlation = 0;
    const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame.bytes(), correlation);
    if (envelope.ok()) tell_results(envelope.value().body, events);
  }
}

}  // namespace retire::client
