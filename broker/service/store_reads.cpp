// Bytes that lie in the store only: payloads on their way to a device, and tasks and results that clients ask for. The
// loop never waits for the disk: what needs bytes is put aside and goes on when they have come.
#include <algorithm>

#include "broker/service/broker.hpp"
#include "broker/service/read.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {
namespace {

constexpr std::size_t kFetchedAtOnce = 1'024;
constexpr std::size_t kFetchingBytesMax = std::size_t{64} << 20;
constexpr std::size_t kReadItemsMax = 1'024;  // of one step of a read
constexpr std::size_t kReadBytesMax = std::size_t{4} << 20;
constexpr int kReadTriesMax = 8;

}  // namespace

Broker::~Broker() = default;

void Broker::fetch(store::Position position, std::uint64_t token, std::size_t bytes) {
  fetch_queue_.push_back({position, token, bytes});
}

// Asks for what is durable by now, in order, as much at a time as is bounded.
void Broker::pump_fetches() {
  while (!fetch_queue_.empty()) {
    const Fetch& next = fetch_queue_.front();
    if (next.position > durable_) return;
    if (fetching_ > 0 && fetching_bytes_ + next.bytes > kFetchingBytesMax) return;
    if (!store_.fetch(next.position, next.token)) return;
    ++fetching_;
    fetching_bytes_ += next.bytes;
    fetch_queue_.pop_front();
  }
}

Status Broker::take_fetched() {
  if (fetching_ == 0) return ok_status();
  std::vector<std::uint64_t> stepped;
  Status status = ok_status();
  const std::size_t count =
      store_.fetched(kFetchedAtOnce, [&](std::uint64_t token, const Result<const store::Record*>& record) {
        const auto at = purposes_.find(token);
        RC_ASSERT(at != purposes_.end());
        const Purpose purpose = at->second;
        purposes_.erase(at);
        --fetching_;
        fetching_bytes_ -= purpose.bytes;
        ++counters_.fetched;
        if (purpose.attempt) {
          if (!record.ok() && scheduler_.find_attempt(purpose.attempt)) {
            status = record.error();  // its task cannot be run, nor its end be made up
            return;
          }
          payload_fetched(purpose.attempt, purpose.device,
                          std::string(record.ok() ? record.value()->task.payload.value_or(ByteView()) : ByteView()));
          return;
        }
        const auto read = reads_.find(purpose.read);
        if (read == reads_.end()) return;
        if (record.ok()) {
          const TaskReport& task = record.value()->task;
          StoredBytes& bytes = read->second->records[purpose.position];
          bytes.payload = task.payload.value_or(ByteView());
          bytes.data = task.result_data.value_or(ByteView());
          bytes.error_message = task.error_message;
          bytes.traceback = task.traceback;
          bytes.logs = task.logs;
        } else if (record.error().code != ErrorCode::NotFound) {
          read->second->failed = record.error();
        }
        if (--read->second->outstanding == 0) stepped.push_back(purpose.read);
      });
  if (count == kFetchedAtOnce) more_ = true;
  for (const std::uint64_t read : stepped) step_read(read);
  return status;
}

// Also for an attempt that was given up meanwhile: others may wait behind it.
void Broker::payload_fetched(AttemptId id, core::DeviceIndex device, std::string&& payload) {
  Session* session = sessions_.by_device(device);
  if (session == nullptr) return;
  const auto at =
      std::lower_bound(session->pending.begin(), session->pending.end(), id,
                       [](const Session::Pending& entry, AttemptId wanted) { return entry.attempt < wanted; });
  if (at == session->pending.end() || at->attempt != id) return;  // of a former session
  at->fetched = std::move(payload);
  drain_pending(*session);
}

// Results of tasks that are final, pushed in steps.
void Broker::read_results(Session& session, std::vector<TaskId>&& ids) {
  if (ids.empty()) return;
  auto read = std::make_unique<Read>();
  read->client = session.watcher;
  read->ids = std::move(ids);
  const std::uint64_t number = ++last_read_;
  reads_.emplace(number, std::move(read));
  step_read(number);
}

// False if the reads that are under way already are as many as are taken.
bool Broker::read_tasks(Session& session, std::uint64_t correlation, const Get& request) {
  if (reads_bytes_ > config_.reads_bytes_max) return false;
  auto read = std::make_unique<Read>();
  read->client = session.watcher;
  read->correlation = correlation;
  read->get = request;
  read->ids = request.ids;
  const std::uint64_t number = ++last_read_;
  reads_.emplace(number, std::move(read));
  step_read(number);
  return true;
}

// Sends what has come and asks for what is wanted next.
void Broker::step_read(std::uint64_t number) {
  const auto at = reads_.find(number);
  if (at == reads_.end()) return;
  Read& read = *at->second;
  const auto end = [&] {
    reads_bytes_ -= read.bytes;
    reads_.erase(number);
  };
  for (;;) {
    Session* session = sessions_.by_watcher(read.client);
    if (session == nullptr) return end();
    // The records that this step needs and has not got: a task may have changed since they were asked for.
    std::size_t upto = read.next;
    std::size_t bytes = 0;
    std::vector<std::pair<store::Position, std::size_t>> wanted;
    const auto want = [&](store::Position position, std::size_t size) {
      bytes += size;
      if (!read.records.contains(position)) wanted.emplace_back(position, size);
    };
    for (; upto < read.ids.size(); ++upto) {
      if (!read.get && (upto - read.next == kReadItemsMax || bytes > kReadBytesMax)) break;
      const core::TaskIndex task = scheduler_.find(read.ids[upto]);
      if (!task) continue;
      const core::Payload& payload = scheduler_.task(task).payload;
      if (read.get && read.get->payload && payload.is_absent()) want(scheduler_.task(task).stored, payload.size());
      const core::Ending* ending = scheduler_.tasks().find_ending(task);
      if (ending != nullptr && ending->absent && (!read.get || read.get->result)) {
        want(ending->stored, ending->stored_bytes);
      }
    }
    if (!wanted.empty() && read.tries++ < kReadTriesMax && !read.failed) {
      read.outstanding = wanted.size();
      reads_bytes_ += bytes;
      read.bytes += bytes;
      for (const auto& [position, size] : wanted) {
        purposes_[++last_token_] = {AttemptId(), {}, number, position, size};
        fetch(position, last_token_, size);
      }
      return;
    }
    if (!wanted.empty()) {
      const Error error =
          read.failed ? *read.failed : Error{ErrorCode::StorageFailed, "a record that was kept is not in the store"};
      logging::error("a client cannot be told what it asks for: {}", error.detail);
      if (read.get) fail(*session, read.correlation, error);
      return end();
    }
    if (read.get) {
      send_tasks(*session, read.correlation, *read.get, &read);
      return end();
    }
    for (; read.next < upto; ++read.next) {
      const core::TaskIndex task = scheduler_.find(read.ids[read.next]);
      if (!task) continue;  // expired meanwhile
      const core::Ending* ending = scheduler_.tasks().find_ending(task);
      if (ending == nullptr) {
        watch(*session, task);  // brought back meanwhile
      } else {
        gather_result(*session, task, ending->absent ? &read.records.at(ending->stored) : nullptr);
      }
    }
    read.records.clear();
    reads_bytes_ -= std::exchange(read.bytes, 0);
    read.tries = 0;
    if (read.next == read.ids.size()) return end();
  }
}

// Answers `get`; what the core has let go of is in `read`.
void Broker::send_tasks(Session& session, std::uint64_t correlation, const Get& request, const Read* read) {
  std::vector<std::optional<TaskReport>> reports;
  for (const TaskId& id : request.ids) {
    const core::TaskIndex task = scheduler_.find(id);
    if (!task) {
      reports.emplace_back();
      continue;
    }
    TaskReport report = scheduler_.report(task, request.payload, request.result);
    if (read != nullptr) {
      if (const auto at = read->records.find(scheduler_.task(task).stored);
          at != read->records.end() && request.payload && scheduler_.task(task).payload.is_absent()) {
        report.payload = at->second.payload;
      }
      const core::Ending* ending = scheduler_.tasks().find_ending(task);
      if (ending != nullptr && ending->absent && request.result) {
        if (const auto at = read->records.find(ending->stored); at != read->records.end()) {
          if (ending->has_data) report.result_data = at->second.data;
          report.error_message = at->second.error_message;
          report.traceback = at->second.traceback;
          report.logs = at->second.logs;
        }
      }
    }
    reports.emplace_back(report);
  }
  std::string frame;
  protocol::encode_tasks(frame, correlation, reports, std::nullopt);
  reply(session, std::move(frame), appended_);
}

}  // namespace retire::service
