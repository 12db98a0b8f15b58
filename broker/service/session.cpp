#include "broker/service/session.hpp"

namespace retire::service {

Session* SessionTable::find(std::string_view routing_id) {
  const auto at = sessions_.find(routing_id);
  return at == sessions_.end() ? nullptr : at->second.get();
}

Session& SessionTable::open(const std::string& routing_id, PeerKind kind, const InstanceId& instance, TimePoint now) {
  if (Session* former = find(routing_id)) close(*former);
  auto session = std::make_unique<Session>();
  session->routing_id = routing_id;
  session->kind = kind;
  session->instance = instance;
  session->heard_at = now;
  if (kind == PeerKind::Client) {
    do {
      ++last_watcher_;
    } while (last_watcher_ == 0 || by_watcher_.contains(last_watcher_));
    session->watcher = last_watcher_;
    by_watcher_.emplace(session->watcher, session.get());
  }
  return *(sessions_[routing_id] = std::move(session));
}

void SessionTable::close(Session& session) {
  if (session.watcher != 0) by_watcher_.erase(session.watcher);
  if (const auto at = by_device_.find(session.device); at != by_device_.end() && at->second == &session) {
    by_device_.erase(at);
  }
  sessions_.erase(std::string(session.routing_id));
}

Session* SessionTable::by_watcher(core::Watcher watcher) {
  const auto at = by_watcher_.find(watcher);
  return at == by_watcher_.end() ? nullptr : at->second;
}

Session* SessionTable::by_device(core::DeviceIndex device) {
  const auto at = by_device_.find(device);
  return at == by_device_.end() ? nullptr : at->second;
}

void SessionTable::bind_device(Session& session, core::DeviceIndex device) {
  session.device = device;
  by_device_[device] = &session;
}

void SessionTable::close_silent(TimePoint before) {
  std::vector<Session*> silent;
  for (const auto& [routing_id, session] : sessions_) {
    if (session->heard_at < before && session->outbox.empty() && session->deferred.empty() && !session->gathering)
      silent.push_back(session.get());
  }
  for (Session* session : silent) close(*session);
}

}  // namespace retire::service
