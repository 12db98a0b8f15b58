#include "worker/core/session.hpp"

#include <algorithm>

#include "worker/core/limits.hpp"

namespace retire::worker {

Session::Session(std::uint64_t seed) : rng_(seed), heartbeat_(kHeartbeatDefault), silence_max_(kSilenceDefault) {}

void Session::socket_opened(TimePoint now) {
  state_ = State::Calling;
  hello_at_ = now;
  heard_ = now;
}

void Session::hello_not_sent(TimePoint now) {
  if (state_ != State::Greeting) return;
  state_ = State::Calling;
  hello_at_ = now + kHelloRetry;
}

void Session::welcomed(const Welcome& welcome, TimePoint now) {
  state_ = State::Joined;
  failures_ = 0;
  // Main's numbers are taken as they are, but for what would make a worker spin or never notice.
  heartbeat_ = std::clamp(welcome.heartbeat, kHeartbeatMin, Duration(std::chrono::hours(1)));
  silence_max_ = std::clamp(welcome.offline_after, 2 * heartbeat_, Duration(std::chrono::hours(24)));
  heartbeat_at_ = now + jittered_heartbeat();
}

void Session::hello_required(TimePoint now) {
  if (state_ != State::Joined) return;  // ours is on its way already
  state_ = State::Calling;
  hello_at_ = now;
}

void Session::back_off(TimePoint now) {
  const Duration full = std::min(kBackoffFirst * (std::int64_t{1} << std::min(failures_, 10)), kBackoffMax);
  ++failures_;
  state_ = State::Waiting;
  open_at_ = now + Duration(static_cast<std::int64_t>(rng_.below(static_cast<std::uint64_t>(full.count()) + 1)));
}

Duration Session::jittered_heartbeat() {
  const auto tenth = static_cast<std::uint64_t>(heartbeat_.count() / 10);
  return heartbeat_ - Duration(static_cast<std::int64_t>(rng_.below(tenth + 1)));
}

Session::Due Session::due(TimePoint now) {
  Due due;
  // While nothing was heard for so long that main has given us up, or never answered, the socket may be of no use.
  if (state_ != State::Waiting && now - heard_ >= silence_max_) back_off(now);
  if (state_ == State::Waiting && now >= open_at_) {
    due.open_socket = true;
    open_at_ = now + kBackoffMax;  // asked again if the shell has not done it by then
  } else if (state_ == State::Calling && now >= hello_at_) {
    state_ = State::Greeting;
    due.hello = true;
  } else if (state_ == State::Joined && now >= heartbeat_at_) {
    heartbeat_at_ = now + jittered_heartbeat();
    due.heartbeat = true;
  }
  return due;
}

TimePoint Session::next_deadline() const {
  switch (state_) {
    case State::Waiting: return open_at_;
    case State::Calling: return std::min(hello_at_, heard_ + silence_max_);
    case State::Greeting: return heard_ + silence_max_;
    case State::Joined: return std::min(heartbeat_at_, heard_ + silence_max_);
  }
  return TimePoint::max();
}

}  // namespace retire::worker
