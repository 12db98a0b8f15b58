#include "tests/sim/network.hpp"

#include <algorithm>

namespace retire::sim {

void Network::set_main_up(bool up) {
  main_up_ = up;
  connections_.clear();  // a process that dies takes its connections along; one that starts has none
  for (auto& [node, link] : links_) link.connection.clear();
}

void Network::connect(Link& link, NodeId node) {
  link.connection = "c" + std::to_string(++connection_count_);
  connections_[link.connection] = node;
}

void Network::open(NodeId node, bool lossy, TimePoint now) {
  close(node);
  Link& link = links_[node];
  link.lossy = lossy;
  link.usable_at = now;
}

void Network::close(NodeId node) {
  const auto at = links_.find(node);
  if (at == links_.end()) return;
  connections_.erase(at->second.connection);
  links_.erase(at);
}

void Network::cut(NodeId node, TimePoint until) {
  const auto at = links_.find(node);
  if (at == links_.end()) return;
  connections_.erase(at->second.connection);
  at->second.connection.clear();
  at->second.usable_at = until;
}

void Network::carry(Link& link, NodeId node, bool to_main, std::string&& frame, TimePoint now) {
  if (rng_.unit() < faults_.break_rate) {
    marks_.hit("connection broken by a message");
    cut(node, now + Duration(static_cast<std::int64_t>(rng_.below(500'000))));
    return;
  }
  if (link.lossy && rng_.unit() < faults_.loss) {
    marks_.hit("message lost");
    return;
  }
  const auto delay =
      Duration(50 + static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(faults_.delay_max.count()))));
  TimePoint& last = to_main ? link.last_to_main : link.last_to_peer;
  const bool reordered = link.lossy && rng_.unit() < faults_.reorder;
  const TimePoint at = reordered ? now + delay * 4 : std::max(now + delay, last);
  if (!reordered) last = at;
  if (reordered && at < last) marks_.hit("message before an earlier one");
  if (reordered && at > last) marks_.hit("message held up");
  if (link.lossy && rng_.unit() < faults_.duplicate) {
    marks_.hit("message delivered twice");
    queue_.push({at + delay, ++serial_, to_main, node, link.connection, frame});
  }
  queue_.push({at, ++serial_, to_main, node, link.connection, std::move(frame)});
}

bool Network::send_to_main(NodeId node, std::string&& frame, TimePoint now) {
  const auto at = links_.find(node);
  if (at == links_.end() || !main_up_ || now < at->second.usable_at) return false;
  if (at->second.connection.empty()) connect(at->second, node);
  carry(at->second, node, true, std::move(frame), now);
  return true;
}

bool Network::send_to_peer(const std::string& connection, std::string&& frame, TimePoint now) {
  const auto at = connections_.find(connection);
  if (at == connections_.end()) return false;
  const NodeId node = at->second;
  carry(links_.at(node), node, false, std::move(frame), now);
  return true;
}

std::optional<Delivery> Network::pop() {
  Delivery delivery = queue_.top();
  queue_.pop();
  // What was on its way when the connection broke is gone.
  if (!connections_.contains(delivery.connection)) {
    marks_.hit("message gone with its connection");
    return std::nullopt;
  }
  return delivery;
}

}  // namespace retire::sim
