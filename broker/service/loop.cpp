#include "broker/service/loop.hpp"

#include <algorithm>

namespace retire::service {
namespace {

constexpr Duration kTurnMax = std::chrono::milliseconds(500);

}  // namespace

Status run_broker(Broker& broker, const RouterTransport& transport, const store::Store& store,
                  const std::atomic<bool>& stop, int wake) {
  net::Poller poller;
  poller.add(transport.router());
  poller.add(wake);
  if (store.readable() >= 0) poller.add(store.readable());
  while (!stop.load()) {
    const Duration left = broker.next_turn() - SystemClock::now().monotonic;
    poller.wait(std::clamp(left, Duration::zero(), kTurnMax));
    // Once: all of a turn happens at one moment.
    if (Status status = broker.turn(SystemClock::now()); !status.ok()) return status;
  }
  return ok_status();
}

}  // namespace retire::service
