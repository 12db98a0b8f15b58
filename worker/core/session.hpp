// The conversation with main: is there a socket, has main welcomed us, is it silent?
//
//            socket open                hello sent                welcome
//   Waiting ────────────▶ Calling ────────────────▶ Greeting ────────────────▶ Joined
//     ▲  (back-off)          │  no connection for       │  no answer             │ │
//     │                      ▼  so long                 ▼                        │ │ hello_required: Calling again,
//     └──────────────────────┴──────────────────────────┴──── main silent ◀──────┘ └ on the same socket
//
// A part of the core: pure, told the time.
#pragma once

#include <cstdint>
#include <optional>

#include "common/base/rng.hpp"
#include "common/model/messages.hpp"

namespace retire::worker {

class Session {
 public:
  enum class State : std::uint8_t { Waiting, Calling, Greeting, Joined };

  // What is to be done now.
  struct Due {
    bool open_socket = false;  // close the socket, if there is any, and open a new one; then socket_opened()
    bool hello = false;        // send it; hello_not_sent() if that cannot be done yet
    bool heartbeat = false;
  };

  explicit Session(std::uint64_t seed);

  State state() const { return state_; }
  bool joined() const { return state_ == State::Joined; }
  Duration heartbeat_interval() const { return heartbeat_; }

  void socket_opened(TimePoint now);
  void hello_not_sent(TimePoint now);
  void heard(TimePoint now) { heard_ = now; }
  void welcomed(const Welcome& welcome, TimePoint now);
  void hello_required(TimePoint now);
  // Main refused the hello for a reason that may pass: a new socket, after a while.
  void refused(TimePoint now) { back_off(now); }

  Due due(TimePoint now);
  TimePoint next_deadline() const;

 private:
  void back_off(TimePoint now);
  Duration jittered_heartbeat();

  State state_ = State::Waiting;
  Rng rng_;
  Duration heartbeat_{};
  Duration silence_max_{};
  int failures_ = 0;      // in a row
  TimePoint open_at_{};   // Waiting
  TimePoint hello_at_{};  // Calling
  TimePoint heard_{};     // last message of main, or when the socket was opened
  TimePoint heartbeat_at_{};
};

}  // namespace retire::worker
