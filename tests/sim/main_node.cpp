#include "tests/sim/main_node.hpp"

#include <algorithm>

namespace retire::sim {

void MainNode::start(std::uint64_t seed) {
  ++config_.epoch;
  config_.seed = seed;
  store_ = store::make_memory_store();
  broker_ = std::make_unique<service::Broker>(config_, *this, *store_);
  network_.set_main_up(true);
  observer_.on_restart();
}

void MainNode::crash() {
  broker_.reset();
  inbox_.clear();
  frozen_until_ = {};
  network_.set_main_up(false);
}

void MainNode::deliver(Delivery&& delivery) {
  if (up()) inbox_.push_back(std::move(delivery));
}

TimePoint MainNode::next_turn() const {
  if (!up()) return TimePoint::max();
  return std::max(inbox_.empty() ? broker_->next_turn() : TimePoint::min(), frozen_until_);
}

void MainNode::turn(Now now) {
  if (!up() || now.monotonic < frozen_until_) return;
  now_ = now.monotonic;
  RC_ASSERT(broker_->turn(now).ok());
  observer_.on_turn(broker_->scheduler(), now);
}

net::Received MainNode::receive(std::string& peer, std::string_view& frame) {
  if (inbox_.empty()) return net::Received::Nothing;
  current_ = std::move(inbox_.front());
  inbox_.pop_front();
  peer = current_.connection;
  frame = current_.frame;
  observer_.on_received(peer, frame, now_);
  return net::Received::Message;
}

net::Sent MainNode::send(std::string_view peer, std::string&& frame) {
  const std::string connection(peer);
  std::string copy = frame;
  if (!network_.send_to_peer(connection, std::move(copy), now_)) {
    observer_.on_not_sent(connection, frame, now_);
    return net::Sent::NoPeer;
  }
  observer_.on_sent(connection, frame, now_);
  return net::Sent::Yes;
}

}  // namespace retire::sim
