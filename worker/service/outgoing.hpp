// What the agent sends: results in encoded batches, kept until main has them, and small messages.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/net/socket.hpp"
#include "common/protocol/codec.hpp"
#include "worker/core/effects.hpp"

namespace retire::worker {

class OutgoingMessages {
 public:
  // Encodes results at once, since what they point into goes.
  void pack(const std::vector<Outgoing>& results);
  void forget(std::uint64_t batch) { batches_.erase(batch); }
  // A batch that was encoded by a former process.
  void adopt(std::uint64_t batch, std::string frame) { batches_.emplace(batch, std::move(frame)); }
  // The encoded message of a closed batch; nullptr if it is forgotten. Until the next call.
  const std::string* frame(std::uint64_t batch);
  // Sends a copy of a closed batch; false if it cannot be sent now.
  bool send_batch(net::Dealer& dealer, std::uint64_t batch);

  // Sends a message, or keeps it for flush() if main's end is full. Beyond a bound it is dropped: main notices by the
  // heartbeat what it was not told.
  void send(net::Dealer& dealer, std::string&& frame);
  // Sends a message that is of no use later; false if main's end does not take it now.
  bool send_or_drop(net::Dealer& dealer, std::string&& frame);
  // True if nothing waits any more.
  bool flush(net::Dealer& dealer);
  bool waiting() const { return !unsent_.empty(); }
  // What waits was meant for a connection that is gone.
  void discard_unsent() { unsent_.clear(); }

 private:
  void seal();

  protocol::FinishedBatch open_;
  std::uint64_t open_number_ = 0;
  std::map<std::uint64_t, std::string> batches_;
  std::deque<std::string> unsent_;
};

}  // namespace retire::worker
