// Carries out what the scheduler has decided. Records are appended at once, while what they are about is as it was
// decided; messages are gathered by peer and framed when the turn ends.
#include <algorithm>
#include <utility>

#include "broker/service/broker.hpp"
#include "common/logging/logging.hpp"

namespace retire::service {

void Broker::carry_out() {
  if (store_.is_durable()) {
    append_devices();
    append_records();
  }
  for (const core::TaskIndex task : effects_.ended) tell_watchers(task);
  for (const core::AttemptIndex attempt : effects_.assigns) gather_assign(attempt);
  for (const core::Effects::Order& order : effects_.recalls) {
    if (Session* session = sessions_.by_device(order.device)) {
      gathering(*session);
      session->recalls.push_back(order.attempt);
    }
  }
  for (const core::Effects::Order& order : effects_.stops) {
    if (Session* session = sessions_.by_device(order.device)) {
      gathering(*session);
      session->stops.push_back(order.attempt);
    }
  }
  for (const core::DeviceIndex device : effects_.lost) {
    logging::warn("device={} is lost: silent for longer than its lease; its tasks go to others",
                  scheduler_.device(device).capabilities.device_id);
    if (Session* session = sessions_.by_device(device)) close(*session);
  }
  // It speaks again under its old session, if it does: then it has to say hello as the new device that it is.
  for (const core::DeviceIndex device : effects_.removed) {
    if (Session* session = sessions_.by_device(device)) close(*session);
  }
  effects_.clear();
}

void Broker::gathering(Session& session) {
  if (session.gathering) return;
  session.gathering = true;
  gathering_.push_back(session.routing_id);
}

void Broker::gather_assign(core::AttemptIndex place) {
  const core::Attempt& attempt = scheduler_.attempt(place);
  Session* session = sessions_.by_device(attempt.device);
  if (session == nullptr) {
    // Its session was closed and its hello has not come yet: the attempt is not confirmed then and goes back.
    return;
  }
  const core::Payload& payload = scheduler_.task(attempt.task).payload;
  if (session->pending.empty() && !payload.is_absent()) {
    put_into_assign(*session, place, payload.view());
    return;
  }
  // A worker takes a smaller number after a larger one for a repetition, so those that come later wait with it.
  session->pending.push_back({attempt.id, std::nullopt});
  if (!payload.is_absent()) return;
  purposes_[++last_token_] = {attempt.id, attempt.device, 0, 0, payload.size()};
  fetch(scheduler_.task(attempt.task).stored, last_token_, payload.size());
}

// Assigns what can be, up to the first whose payload has not come yet.
void Broker::drain_pending(Session& session) {
  while (!session.pending.empty()) {
    Session::Pending& first = session.pending.front();
    const core::AttemptIndex place = scheduler_.find_attempt(first.attempt);
    if (place && scheduler_.attempt(place).assign == core::kNotSent) {
      const core::Payload& payload = scheduler_.task(scheduler_.attempt(place).task).payload;
      if (!first.fetched && payload.is_absent()) return;
      const std::string bytes = std::move(first.fetched).value_or(std::string());
      put_into_assign(session, place, payload.is_absent() ? std::string_view(bytes) : payload.view());
    }
    session.pending.pop_front();
  }
}

void Broker::put_into_assign(Session& session, core::AttemptIndex place, std::string_view payload) {
  gathering(session);
  const core::Attempt& attempt = scheduler_.attempt(place);
  const core::SpecIndex spec_place = scheduler_.spec_of(place);
  const TaskSpec& spec = scheduler_.catalog().spec(spec_place).spec;
  auto known = std::find_if(session.assign_specs.begin(), session.assign_specs.end(), [&](const auto& entry) {
    return entry.spec == spec_place && entry.priority == attempt.priority;
  });
  if (known == session.assign_specs.end()) {
    const std::uint32_t index = session.assigns.add_spec(
        {spec.type, from_seconds(spec.requirements.timeout_seconds), attempt.priority, spec.requirements.at_most_once});
    session.assign_specs.push_back({spec_place, attempt.priority, index});
    known = session.assign_specs.end() - 1;
  }
  // What may run only once is on record as dispatched before it leaves; everything else need not wait for the disk.
  if (spec.requirements.at_most_once) session.assigns_after = std::max(session.assigns_after, attempt.stored);
  scheduler_.put_into_assign(place, now_.monotonic);
  session.assigns.add({scheduler_.task(attempt.task).id, attempt.id, known->index, payload, attempt.number,
                       scheduler_.checkpoint(attempt.task)});
  if (session.assigns.count() >= kBatchItemsTarget || session.assigns.bytes() >= kBatchBytesTarget) {
    close_assign(session);
  }
}

void Broker::close_assign(Session& session) {
  if (session.assigns.count() == 0) return;
  const std::uint64_t number = scheduler_.close_assign(session.device);
  session.assign_specs.clear();
  order(session, session.assigns.take(number), std::exchange(session.assigns_after, 0));
}

void Broker::tell_watchers(core::TaskIndex task) {
  const core::Watcher watcher = scheduler_.task(task).watcher;
  if (watcher != 0) {
    if (Session* session = sessions_.by_watcher(watcher)) gather_result(*session, task, nullptr);
    scheduler_.unwatch(task);
  }
  if (more_watchers_.empty()) return;
  const auto [first, last] = more_watchers_.equal_range(task.value);
  for (auto at = first; at != last; ++at) {
    if (Session* session = sessions_.by_watcher(at->second)) gather_result(*session, task, nullptr);
  }
  more_watchers_.erase(task.value);
}

void Broker::gather_result(Session& session, core::TaskIndex place, const StoredBytes* stored) {
  gathering(session);
  const core::Task& task = scheduler_.task(place);
  const core::Ending* ending = scheduler_.tasks().find_ending(place);
  RC_ASSERT(ending != nullptr && (stored != nullptr || !ending->absent));
  ResultItem item;
  item.id = task.id;
  item.status = task.status;
  if (ending->has_data) item.data = stored != nullptr ? ByteView(stored->data) : ending->data.view();
  if (ending->device) {
    auto known = std::find_if(session.result_devices.begin(), session.result_devices.end(),
                              [&](const auto& entry) { return entry.first == ending->device; });
    if (known == session.result_devices.end()) {
      session.result_devices.emplace_back(
          ending->device, session.results.add_device(scheduler_.device(ending->device).capabilities.device_id));
      known = session.result_devices.end() - 1;
    }
    item.device = known->second;
  }
  item.started_at = ending->started_at;
  item.completed_at = ending->completed_at;
  item.run = ending->run;
  if (ending->plugin != nullptr) item.plugin = *ending->plugin;
  if (stored != nullptr) {
    item.error_message = stored->error_message;
    item.traceback = stored->traceback;
    item.logs = stored->logs;
  } else if (ending->output != nullptr) {
    item.error_message = ending->output->error_message.view();
    item.traceback = ending->output->traceback.view();
    item.logs = ending->output->logs.view();
  }
  if (session.results.count() > 0 &&
      session.results.bytes() + item.data.value_or("").size() + item.logs.size() > kMessageBytesMax / 2) {
    close_results(session);
    gather_result(session, place, stored);
    return;
  }
  session.results.add(item);
  if (session.results.count() >= kBatchItemsTarget || session.results.bytes() >= kBatchBytesTarget) {
    close_results(session);
  }
}

void Broker::close_results(Session& session) {
  if (session.results.count() == 0) return;
  session.result_devices.clear();
  reply(session, session.results.take(0), appended_);
}

// Frames what was gathered: first what is new, then what takes it back.
void Broker::end_turn() {
  std::vector<std::string> peers;
  peers.swap(gathering_);
  for (const std::string& peer : peers) {
    Session* session = sessions_.find(peer);
    if (session == nullptr || !session->gathering) continue;
    session->gathering = false;
    close_assign(*session);
    close_results(*session);
    for (const auto& [type, attempts] :
         {std::pair{MessageType::Recall, &session->recalls}, std::pair{MessageType::Stop, &session->stops}}) {
      if (attempts->empty()) continue;
      std::string frame;
      protocol::encode_attempts(frame, type, 0, *attempts);
      order(*session, std::move(frame));
      attempts->clear();
    }
  }
  peers.clear();
  if (gathering_.empty()) gathering_.swap(peers);  // keeps the capacity
}

}  // namespace retire::service
