#include "broker/service/session.hpp"

#include <algorithm>
#include <utility>

#include "common/base/assert.hpp"

namespace retire::service {

Session* SessionTable::find(std::string_view routing_id) {
  const auto at = sessions_.find(routing_id);
  return at == sessions_.end() ? nullptr : at->second.get();
}

Session& SessionTable::open(const std::string& routing_id, PeerKind kind, const InstanceId& instance, TimePoint now) {
  net::Unsent unsent;
  if (Session* former = find(routing_id)) {
    unsent = former->unsent;
    close(*former);
  }
  if (unsent == nullptr) unsent = std::make_shared<net::UnsentBytes>(unsent_bytes_);
  auto session = std::make_unique<Session>();
  session->unsent = std::move(unsent);
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
  outbox_bytes_ -= session.outbox_bytes;
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

std::vector<Session*> SessionTable::silent(TimePoint before) {
  std::vector<Session*> found;
  for (const auto& [routing_id, session] : sessions_) {
    if (session->heard_at < before && session->outbox.empty() && session->deferred.empty() && !session->gathering) {
      found.push_back(session.get());
    }
  }
  return found;
}

void SessionTable::queued(Session& session, std::size_t bytes) {
  session.outbox_bytes += bytes;
  outbox_bytes_ += bytes;
}

void SessionTable::dequeued(Session& session, std::size_t bytes) {
  RC_ASSERT(session.outbox_bytes >= bytes && outbox_bytes_ >= bytes);
  session.outbox_bytes -= bytes;
  outbox_bytes_ -= bytes;
}

std::vector<Session*> SessionTable::fullest(std::size_t keep_bytes) {
  // Read once: libzmq's thread goes on counting down.
  std::vector<std::pair<std::size_t, Session*>> held;
  std::size_t left = 0;
  for (const auto& [routing_id, session] : sessions_) {
    const std::size_t bytes = session->unread_bytes();
    if (bytes == 0) continue;
    held.emplace_back(bytes, session.get());
    left += bytes;
  }
  std::sort(held.begin(), held.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Session*> found;
  for (const auto& [bytes, session] : held) {
    if (left <= keep_bytes) break;
    left -= bytes;
    found.push_back(session);
  }
  return found;
}

}  // namespace retire::service
