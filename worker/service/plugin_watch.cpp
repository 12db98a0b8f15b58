#include "worker/service/plugin_watch.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "common/base/assert.hpp"

namespace retire::worker {
namespace {

// A change comes as many events: it is over when none came for so long, or it is looked at anyway after a while.
constexpr int kQuietMs = 150;
constexpr auto kBurstMax = std::chrono::seconds(2);
// While a file is being written; where nothing tells of changes; and else, for what is not told.
constexpr int kUnsettledMs = 250;
constexpr int kUnwatchedMs = 2'000;
constexpr int kWatchedMs = 60'000;

}  // namespace

PluginWatch::PluginWatch(PluginCatalog catalog, OfferRules rules)
    : catalog_(std::move(catalog)),
      rules_(std::move(rules)),
      directories_(catalog_.config().directories),
      ready_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      stop_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  RC_ASSERT(ready_ >= 0 && stop_ >= 0);
  thread_ = std::thread([this] { watch_until_stopped(); });
}

PluginWatch::~PluginWatch() {
  eventfd_write(stop_, 1);
  thread_.join();
  close(ready_);
  close(stop_);
}

std::optional<Offers> PluginWatch::take() {
  eventfd_t count = 0;
  eventfd_read(ready_, &count);
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(latest_, std::nullopt);
}

bool PluginWatch::wait(int at_most, bool& event) {
  std::array<pollfd, 2> wanted{pollfd{stop_, POLLIN, 0}, pollfd{directories_.descriptor(), POLLIN, 0}};
  poll(wanted.data(), wanted.size(), at_most);
  event = wanted[1].revents != 0;
  return wanted[0].revents == 0;
}

bool PluginWatch::wait_for_change(int at_most) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(at_most);
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) return true;
    bool event = false;
    if (!wait(static_cast<int>(left), event)) return false;
    if (event && directories_.drain()) {
      settle();
      return true;
    }
  }
}

void PluginWatch::settle() {
  const auto end = std::chrono::steady_clock::now() + kBurstMax;
  bool event = true;
  while (event && std::chrono::steady_clock::now() < end) {
    if (!wait(kQuietMs, event)) return;
    if (event) directories_.drain();
  }
}

void PluginWatch::watch_until_stopped() {
  bool first = true;  // what changed between the first look and the watch
  for (;;) {
    const int usual = directories_.complete() ? kWatchedMs : kUnwatchedMs;
    if (!std::exchange(first, false) && !wait_for_change(catalog_.unsettled() ? kUnsettledMs : usual)) return;
    if (!catalog_.refresh(stop_)) continue;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      latest_ = find_offers(catalog_, rules_);
    }
    eventfd_write(ready_, 1);
  }
}

}  // namespace retire::worker
