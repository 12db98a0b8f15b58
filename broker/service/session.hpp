// Who is at the other end of a connection. The one place where identity is kept: nothing is derived from a routing ID,
// which is random, or from what a payload claims.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "broker/core/index.hpp"
#include "broker/core/tasks.hpp"
#include "broker/store/store.hpp"
#include "common/model/messages.hpp"
#include "common/net/socket.hpp"
#include "common/protocol/codec.hpp"

namespace retire::service {

struct Session {
  std::string routing_id;
  PeerKind kind = PeerKind::Client;
  InstanceId instance;
  net::Connection connection;
  core::DeviceIndex device;   // of a worker
  core::Watcher watcher = 0;  // of a client: what the core calls it
  TimePoint heard_at{};

  // What is gathered in this turn, one message each when the turn ends.
  protocol::AssignBatch assigns;
  struct AssignSpecPlace {
    core::SpecIndex spec;
    Priority priority = Priority::Normal;  // ageing may have raised it
    std::uint32_t index = 0;
  };
  std::vector<AssignSpecPlace> assign_specs;  // interned in the open message
  std::vector<AttemptId> assign_attempts;
  std::vector<AttemptId> recalls;
  std::vector<AttemptId> stops;
  protocol::ResultsBatch results;
  std::vector<std::pair<core::DeviceIndex, std::uint32_t>> result_devices;
  bool gathering = false;

  // Attempts to be assigned, in the order of their numbers, from the first whose payload is still fetched.
  struct Pending {
    AttemptId attempt;
    std::optional<std::string> fetched;
  };
  std::deque<Pending> pending;

  // Frames that may leave now; and those that must wait for the store to reach a position. Each in order.
  struct Outgoing {
    std::string frame;
    store::Position after = 0;
  };
  std::deque<std::string> outbox;
  std::deque<Outgoing> deferred;
  std::size_t outbox_bytes = 0;       // of both
  net::Unsent unsent;                 // given to the socket, which still has them
  store::Position assigns_after = 0;  // of the assign that is gathered
  store::Position orders_after = 0;   // an assign waits for it, and so must all orders after it
  bool in_flush_list = false;

  // Bytes that main holds for a peer which does not read.
  std::size_t unread_bytes() const { return outbox_bytes + unsent->bytes(); }
};

class SessionTable {
 public:
  Session* find(std::string_view routing_id);
  // Replaces a former session of this connection; what the socket has of that one still counts.
  Session& open(const std::string& routing_id, PeerKind kind, const InstanceId& instance, TimePoint now);
  void close(Session& session);

  Session* by_watcher(core::Watcher watcher);
  Session* by_device(core::DeviceIndex device);
  void bind_device(Session& session, core::DeviceIndex device);
  std::size_t size() const { return sessions_.size(); }

  // Not heard since `before`, with nothing that is still to be sent.
  std::vector<Session*> silent(TimePoint before);

  // Told of what is put into a session's outbox, and of what leaves it.
  void queued(Session& session, std::size_t bytes);
  void dequeued(Session& session, std::size_t bytes);
  // Bytes that main holds for all peers; connections that were cut may still have some in the socket.
  std::size_t unread_bytes() const { return outbox_bytes_ + unsent_bytes_->load(std::memory_order_relaxed); }
  // Those for which the most is held, so many that the others have at most `keep_bytes`: none if all have less.
  std::vector<Session*> fullest(std::size_t keep_bytes);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::unique_ptr<Session>, Hash, std::equal_to<>> sessions_;
  std::unordered_map<core::Watcher, Session*> by_watcher_;
  std::map<core::DeviceIndex, Session*> by_device_;
  core::Watcher last_watcher_ = 0;
  std::size_t outbox_bytes_ = 0;
  net::UnsentBytes::Total unsent_bytes_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace retire::service
