// What main remembers: writes the scheduler's records to the store, and takes them back after a restart.
#include <algorithm>
#include <cstring>

#include "broker/service/broker.hpp"
#include "common/base/failpoint.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {
namespace {

constexpr std::size_t kRecoveredAtOnce = 1'024;
constexpr int kRecoveriesPerTurn = 16;  // a few milliseconds: whoever says hello meanwhile does not wait for long
constexpr char kDeviceVersion = 1;
constexpr char kPausesVersion = 1;

store::Record::Kind kind_of(core::Record::Kind kind) {
  switch (kind) {
    case core::Record::Kind::Submitted: return store::Record::Kind::Submitted;
    case core::Record::Kind::Dispatched: return store::Record::Kind::Dispatched;
    case core::Record::Kind::Retried: return store::Record::Kind::Retried;
    case core::Record::Kind::Ended: return store::Record::Kind::Ended;
    case core::Record::Kind::Requeued: return store::Record::Kind::Requeued;
    case core::Record::Kind::Forgotten: return store::Record::Kind::Forgotten;
  }
  RC_ASSERT(false);
}

core::Record::Kind kind_of(store::Record::Kind kind) {
  switch (kind) {
    case store::Record::Kind::Submitted: return core::Record::Kind::Submitted;
    case store::Record::Kind::Dispatched: return core::Record::Kind::Dispatched;
    case store::Record::Kind::Retried: return core::Record::Kind::Retried;
    case store::Record::Kind::Ended: return core::Record::Kind::Ended;
    case store::Record::Kind::Requeued: return core::Record::Kind::Requeued;
    case store::Record::Kind::Forgotten:
    case store::Record::Kind::Device:
    case store::Record::Kind::Settings: break;
  }
  return core::Record::Kind::Forgotten;
}

// What main remembers of a device: a version, whether an administrator drained it, when it was heard last (µs, little
// endian), and its capability record as a device_update message.
std::string device_bytes(const core::Device& device) {
  std::string out;
  out.push_back(kDeviceVersion);
  out.push_back(device.drained ? 1 : 0);
  const std::int64_t heard = device.heard_wall.time_since_epoch().count();
  out.append(reinterpret_cast<const char*>(&heard), sizeof heard);
  std::string message;
  protocol::encode(message, 0, DeviceUpdate{device.capabilities});
  return out + message;
}

}  // namespace

void Broker::append_records() {
  for (const core::Record& record : effects_.records) {
    store::Record stored;
    stored.kind = kind_of(record.kind);
    stored.task.id = record.id;
    stored.of = record.of;
    if (record.task) {
      const core::Task& task = scheduler_.task(record.task);
      const core::TaskExtra* extra = scheduler_.tasks().find_extra(record.task);
      stored.of = task.stored;
      if (extra != nullptr) {
        stored.failures = extra->failures;
        stored.lost = extra->lost;
      }
      switch (record.kind) {
        case core::Record::Kind::Submitted:
          stored.of = 0;
          stored.sequence = task.sequence;
          stored.task.spec = &scheduler_.spec(record.task);
          stored.task.payload = task.payload.view();
          if (extra != nullptr) stored.task.metadata = extra->metadata.view();
          stored.task.created_at = task.created_at();
          break;
        case core::Record::Kind::Dispatched: {
          const core::AttemptIndex place = scheduler_.tasks().attempt(record.task);
          if (!place) continue;
          const core::Attempt& attempt = scheduler_.attempt(place);
          stored.attempt = attempt.id;
          stored.task.device_id = scheduler_.device(attempt.device).capabilities.device_id;
          stored.task.assigned_at = attempt.assigned_wall;
          break;
        }
        case core::Record::Kind::Retried:
        case core::Record::Kind::Requeued:
          if (extra == nullptr) break;
          stored.task.error_history = &extra->errors;
          if (task.delayed) stored.due = now_.wall + (extra->due - now_.monotonic);
          break;
        case core::Record::Kind::Ended: stored.task = scheduler_.report(record.task, false, true); break;
        case core::Record::Kind::Forgotten: break;
      }
    }
    appended_ = store_.append(stored);
    scheduler_.recorded(record, appended_, effects_);
  }
  // After what supersedes them was appended.
  for (const core::StorePosition position : effects_.released) store_.release(position);
}

void Broker::append_devices() {
  for (const core::DeviceIndex place : effects_.devices) {
    const core::Device& device = scheduler_.device(place);
    if (!device.known || device.retired) continue;
    const std::string bytes = device_bytes(device);
    store::Record stored;
    stored.kind = store::Record::Kind::Device;
    stored.task.device_id = device.capabilities.device_id;
    stored.device = bytes;
    appended_ = store_.append(stored);
  }
  for (const std::string& name : effects_.removed_names) {
    store::Record stored;  // with nothing to remember
    stored.kind = store::Record::Kind::Device;
    stored.task.device_id = name;
    appended_ = store_.append(stored);
  }
}

// Which of the queue is paused, whole: a version, whether all is, and the types, each behind its length (one byte).
void Broker::append_pauses() {
  if (!store_.is_durable()) return;
  std::string bytes;
  bytes.push_back(kPausesVersion);
  bytes.push_back(scheduler_.paused() ? 1 : 0);
  for (const std::string& type : scheduler_.catalog().paused_types()) {
    bytes.push_back(static_cast<char>(type.size()));
    bytes += type;
  }
  store::Record stored;
  stored.kind = store::Record::Kind::Settings;
  stored.device = bytes;
  appended_ = store_.append(stored);
}

void Broker::restore_pauses() {
  const std::string bytes = store_.settings();
  if (bytes.empty()) return;
  if (bytes.size() < 2 || bytes[0] != kPausesVersion) {
    ++counters_.records_unreadable;
    logging::warn("which tasks were paused cannot be read from the store: nothing is; pause again what should be");
    return;
  }
  std::string said = bytes[1] != 0 ? "the whole queue" : "";
  if (bytes[1] != 0) scheduler_.pause("", now_, effects_);
  for (std::size_t at = 2; at < bytes.size();) {
    const std::string type = bytes.substr(at + 1, static_cast<std::uint8_t>(bytes[at]));
    at += 1 + type.size();
    scheduler_.pause(type, now_, effects_);
    said += (said.empty() ? "" : ", ") + type;
  }
  if (!said.empty()) logging::info("still paused, since before this start: {}", said);
}

bool Broker::not_loaded(const TaskId& id) const {
  if (loaded()) return false;
  const core::TaskIndex task = scheduler_.find(id);
  return task ? !scheduler_.settled(task) : store_.may_know(id);
}

// Takes a bounded part of what former runs have left.
Status Broker::load() {
  if (loaded()) return ok_status();
  if (loading_since_ == TimePoint{}) loading_since_ = now_.monotonic;
  for (int n = 0; n < kRecoveriesPerTurn; ++n) {
    const Result<std::size_t> visited = store_.recover(
        kRecoveredAtOnce, [&](store::Position position, const store::Record& record) { restore(position, record); });
    if (!visited.ok()) return visited.error();
    if (visited.value() > 0) failpoint(Failpoint::Restoring);
    end_queue();
    if (queue_loaded_) queue_loaded();
    if (store_.loading() == store::Store::Loading::Done) {
      scheduler_.end_restore(now_);
      const core::Counters& counted = scheduler_.counters();
      logging::info("all loaded: tasks={} finished={} after {:.2f} s", counted.restored, counted.restored_ended,
                    to_seconds(now_.monotonic - loading_since_));
      break;
    }
    if (visited.value() == 0) break;
    more_ = true;
  }
  for (const core::StorePosition position : effects_.released) store_.release(position);
  effects_.released.clear();
  return ok_status();
}

// The queue is known as soon as the first record of the history comes, which may be in the midst of a call of
// recover(): what belongs to a task must not be split between the two.
void Broker::end_queue() {
  if (scheduler_.loading() != core::Scheduler::Loading::Queue) return;
  if (store_.loading() == store::Store::Loading::Queue) return;
  scheduler_.queue_restored(now_);
  queue_loaded_ = true;
}

void Broker::restore(store::Position position, const store::Record& record) {
  end_queue();
  if (record.kind == store::Record::Kind::Device) {
    restore_device(record);
    return;
  }
  scheduler_.restore({kind_of(record.kind), record.task, position, record.sequence, record.attempt, record.failures,
                      record.lost, record.due},
                     now_, effects_);
}

void Broker::restore_device(const store::Record& record) {
  const ByteView bytes = record.device;
  if (bytes.empty()) {
    scheduler_.restore_removed(record.task.device_id);
    return;
  }
  std::int64_t heard = 0;
  constexpr std::size_t kHead = 2 + sizeof heard;
  DeviceUpdate message;
  std::uint64_t correlation = 0;
  bool readable = bytes.size() > kHead && bytes[0] == kDeviceVersion;
  if (readable) {
    std::memcpy(&heard, bytes.data() + 2, sizeof heard);
    const Result<protocol::Envelope> envelope = protocol::decode_envelope(bytes.substr(kHead), correlation);
    readable = envelope.ok() && envelope.value().type == MessageType::DeviceUpdate &&
               protocol::decode(envelope.value().body, message).ok();
  }
  if (!readable) {  // it says hello again; only an administrator's drain would be lost
    ++counters_.records_unreadable;
    logging::warn("device={} cannot be read from the store: it is known again when it joins", record.task.device_id);
    return;
  }
  scheduler_.restore_device(message.device, bytes[1] != 0, WallTime(Duration(heard)), now_, effects_);
}

void Broker::queue_loaded() {
  queue_loaded_ = false;
  failpoint(Failpoint::QueueLoaded);
  const core::Counters& counted = scheduler_.counters();
  logging::info("queue loaded: waiting={} running={} after {:.2f} s", scheduler_.tasks().count(TaskStatus::Queued),
                counted.restored_running, to_seconds(now_.monotonic - loading_since_));
  std::vector<ParkedHello> parked;
  parked.swap(parked_hellos_);
  for (const ParkedHello& one : parked) handle(one.peer, one.frame, &one.connection);
}

}  // namespace retire::service
