#include "worker/service/outgoing.hpp"

namespace retire::worker {
namespace {
constexpr std::size_t kUnsentMax = 1'024;
}

void OutgoingMessages::seal() {
  if (open_.count() > 0) batches_.emplace(open_number_, open_.take(open_number_));
}

void OutgoingMessages::pack(const std::vector<Outgoing>& results) {
  for (const Outgoing& result : results) {
    if (result.batch != open_number_) {
      seal();
      open_number_ = result.batch;
    }
    open_.add(result.item);
  }
}

const std::string* OutgoingMessages::frame(std::uint64_t batch) {
  if (batch == open_number_) seal();
  const auto found = batches_.find(batch);
  return found == batches_.end() ? nullptr : &found->second;
}

bool OutgoingMessages::send_batch(net::Dealer& dealer, std::uint64_t batch) {
  const std::string* bytes = frame(batch);
  if (bytes == nullptr) return true;
  return unsent_.empty() && dealer.send(std::string(*bytes)) == net::Sent::Yes;
}

void OutgoingMessages::send(net::Dealer& dealer, std::string&& frame) {
  if (unsent_.empty() && dealer.send(std::move(frame)) == net::Sent::Yes) return;
  if (unsent_.size() < kUnsentMax) unsent_.push_back(std::move(frame));
}

bool OutgoingMessages::send_or_drop(net::Dealer& dealer, std::string&& frame) {
  return unsent_.empty() && dealer.send(std::move(frame)) == net::Sent::Yes;
}

bool OutgoingMessages::flush(net::Dealer& dealer) {
  while (!unsent_.empty()) {
    if (dealer.send(std::move(unsent_.front())) != net::Sent::Yes) return false;
    unsent_.pop_front();
  }
  return true;
}

}  // namespace retire::worker
