// Connections between peers and main, as TCP under ZeroMQ gives them, and worse.
//
// A connection delivers in order, after a random delay. It breaks without telling anybody; what was on its way is lost,
// and the peer's socket connects again by itself, under another routing ID. On the links of workers single messages may
// also be lost, doubled or overtaken, which TCP would not do: the protocol promises to survive that too.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "common/base/rng.hpp"
#include "common/base/time.hpp"
#include "tests/sim/marks.hpp"

namespace retire::sim {

using NodeId = std::uint32_t;  // of a peer; main is none

struct Faults {
  double loss = 0;        // of a message on a worker's link
  double duplicate = 0;   // of one
  double reorder = 0;     // of one: delivered without waiting for its turn
  double break_rate = 0;  // of a connection, for each message
  Duration delay_max = std::chrono::milliseconds(2);
};

struct Delivery {
  TimePoint at;
  std::uint64_t serial = 0;  // breaks ties, so that a run can be repeated
  bool to_main = false;
  NodeId node = 0;
  std::string connection;
  std::string frame;
};

class Network {
 public:
  Network(Rng& rng, std::uint64_t& serial, Marks& marks) : rng_(rng), serial_(serial), marks_(marks) {}

  void set_faults(const Faults& faults) { faults_ = faults; }
  void set_main_up(bool up);
  // A peer's socket: closed and opened anew. `lossy`: its messages may be lost one by one.
  void open(NodeId node, bool lossy, TimePoint now);
  void close(NodeId node);
  // Breaks the connection; the socket tries again by itself from `until` on.
  void cut(NodeId node, TimePoint until);
  bool is_cut(NodeId node, TimePoint now) const {
    const auto at = links_.find(node);
    return at != links_.end() && now < at->second.usable_at;
  }

  // False while there is no connection.
  bool send_to_main(NodeId node, std::string&& frame, TimePoint now);
  // False if the connection is known to be gone.
  bool send_to_peer(const std::string& connection, std::string&& frame, TimePoint now);

  bool empty() const { return queue_.empty(); }
  TimePoint next() const { return queue_.top().at; }
  // The next delivery; nullopt if it was lost with its connection.
  std::optional<Delivery> pop();

 private:
  struct Link {
    std::string connection;  // of now; empty: none yet
    bool lossy = false;
    TimePoint usable_at{};
    TimePoint last_to_main{};  // order is kept by never delivering before these
    TimePoint last_to_peer{};
  };
  struct Later {
    bool operator()(const Delivery& a, const Delivery& b) const {
      return a.at != b.at ? a.at > b.at : a.serial > b.serial;
    }
  };
  void connect(Link& link, NodeId node);
  void carry(Link& link, NodeId node, bool to_main, std::string&& frame, TimePoint now);

  Rng& rng_;
  std::uint64_t& serial_;
  Marks& marks_;
  Faults faults_;
  bool main_up_ = true;
  std::map<NodeId, Link> links_;
  std::map<std::string, NodeId> connections_;  // those that stand
  std::priority_queue<Delivery, std::vector<Delivery>, Later> queue_;
  std::uint64_t connection_count_ = 0;
};

}  // namespace retire::sim
