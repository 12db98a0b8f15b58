#include "worker/service/kept_results.hpp"

#include "common/logging/logging.hpp"
#include "common/protocol/codec.hpp"

namespace retire::worker {

KeptResults::KeptResults(const std::filesystem::path& file) {
  if (file.empty()) return;
  Result<OutboxFile> opened = OutboxFile::open(file, {}, found_);
  if (!opened.ok()) {
    logging::warn("{}; results are kept in memory only, and are lost if this worker is", opened.error().detail);
    return;
  }
  file_.emplace(std::move(opened).value());
  if (!found_.set_aside.empty()) {
    logging::warn("{} is no outbox of this program; it lies in {} now", file.string(), found_.set_aside);
  }
  if (found_.dropped_bytes > 0) {
    logging::warn("{}: the last {} bytes are not whole and were dropped; tasks whose results they held run again",
                  file.string(), found_.dropped_bytes);
  }
}

std::vector<KeptBatch> KeptResults::restore(OutgoingMessages& outgoing, std::size_t attempts_max) {
  std::vector<KeptBatch> out;
  std::size_t count = 0;
  Finished message;
  for (const auto& [id, frame] : std::exchange(found_, {}).records) {
    std::uint64_t correlation = 0;
    const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
    bool readable = envelope.ok() && envelope.value().type == MessageType::Finished;
    readable = readable && protocol::decode(envelope.value().body, message).ok();
    if (!readable || count + message.results.size() > attempts_max) {
      logging::warn("kept result {} is {}; dropped", id, readable ? "one too many" : "of a version that is not known");
      file_->remove(id);
      continue;
    }
    KeptBatch batch;
    protocol::FinishedBatch encoded;
    for (const FinishedItem& item : message.results) {
      if (item.outcome == Outcome::HandedBack) continue;  // main sees that it is not held
      encoded.add(item);
      batch.attempts.push_back(item.attempt);
    }
    if (batch.attempts.empty()) {
      file_->remove(id);
      continue;
    }
    count += batch.attempts.size();
    const std::uint64_t number = out.size() + 1;
    std::string again = encoded.take(number);
    batch.bytes = again.size();
    outgoing.adopt(number, std::move(again));
    records_.emplace(number, id);
    out.push_back(std::move(batch));
  }
  if (count > 0) logging::info("{} results of before are kept and will be sent to main again", count);
  return out;
}

bool KeptResults::save(const std::vector<std::uint64_t>& batches, OutgoingMessages& outgoing) {
  if (!file_) return false;
  if (batches.empty()) return true;
  std::vector<OutboxFile::Record> records;
  std::uint64_t id = file_->next_id();
  for (const std::uint64_t batch : batches) {
    if (const std::string* frame = outgoing.frame(batch)) records.push_back({id++, *frame});
  }
  const Status status = file_->save(records);
  if (!status.ok()) {
    if (!told_failure_) {
      logging::warn("{}; results that main has not acknowledged are kept in memory only", status.error().detail);
    }
    told_failure_ = true;
    return false;
  }
  if (told_failure_) logging::info("results are kept on disk again");
  told_failure_ = false;
  id = records.empty() ? 0 : records.front().id;
  for (const std::uint64_t batch : batches) {
    if (outgoing.frame(batch) != nullptr) records_[batch] = id++;
  }
  logging::debug("{} batches of results kept on disk, which holds {} bytes", records.size(), file_->file_bytes());
  return true;
}

void KeptResults::forget(std::uint64_t batch) {
  const auto found = records_.find(batch);
  if (found == records_.end()) return;
  file_->remove(found->second);
  records_.erase(found);
}

}  // namespace retire::worker
