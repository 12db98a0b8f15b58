#include "tests/sim/main_node.hpp"

#include <algorithm>
#include <map>

namespace retire::sim {

namespace {

constexpr std::uint64_t kDiskUsMax = 20'000;  // an fsync of an old device

}  // namespace

void MainNode::start(std::uint64_t seed, TimePoint now) {
  ++config_.epoch;
  config_.seed = seed;
  now_ = now;
  disk_rng_ = Rng(seed ^ 0x6469736b);
  if (durable_) {
    auto fake = std::make_unique<testing::FakeStore>(disk_, seed);
    fake_ = fake.get();
    fake_->set_recover_max(1 + disk_rng_.below(20));
    store_ = std::move(fake);
  } else {
    store_ = store::make_memory_store();
  }
  disk_due_ = TimePoint::max();
  broker_ = std::make_unique<service::Broker>(config_, *this, *store_);
  network_.set_main_up(true);
  observer_.on_restart(kept(), broker_->scheduler());
}

std::vector<TaskId> MainNode::kept() const {
  std::map<std::uint64_t, TaskId> by_sequence;
  for (const auto& [position, owned] : disk_.records) {
    if (owned.record.kind == store::Record::Kind::Submitted) by_sequence[owned.record.sequence] = owned.record.task.id;
  }
  std::vector<TaskId> out;
  for (const auto& [sequence, id] : by_sequence) out.push_back(id);
  return out;
}

void MainNode::crash() {
  broker_.reset();
  store_.reset();
  fake_ = nullptr;
  inbox_.clear();
  frozen_until_ = {};
  network_.set_main_up(false);
}

void MainNode::deliver(Delivery&& delivery) {
  if (up()) inbox_.push_back(std::move(delivery));
}

TimePoint MainNode::next_turn() const {
  if (!up()) return TimePoint::max();
  TimePoint next = inbox_.empty() ? std::min(broker_->next_turn(), disk_due_) : TimePoint::min();
  if (!broker_->loaded()) next = std::min(next, now_ + std::chrono::milliseconds(1));
  return std::max(next, frozen_until_);
}

void MainNode::turn(Now now) {
  if (!up() || now.monotonic < frozen_until_) return;
  now_ = now.monotonic;
  if (fake_ != nullptr && disk_due_ <= now_) {
    fake_->commit();
    fake_->answer_fetches();
    disk_due_ = TimePoint::max();
  }
  RC_ASSERT(broker_->turn(now).ok());
  if (fake_ != nullptr && disk_due_ == TimePoint::max() && (fake_->has_uncommitted() || fake_->has_fetches())) {
    disk_due_ = now_ + Duration(static_cast<std::int64_t>(disk_rng_.below(kDiskUsMax)));
  }
  if (broker_->loaded()) {
    observer_.on_turn(broker_->scheduler(), now);
  } else {
    observer_.on_loading(broker_->scheduler());
  }
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

net::Sent MainNode::send(std::string_view peer, std::string&& frame, const net::Unsent& /*unsent*/) {
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
