// Keeps a catalog of plugins up to date while the worker runs: a thread of its own waits for changes, checks and probes
// what is new, and has the offers that follow from it ready for the agent's loop.
#pragma once

#include <mutex>
#include <optional>
#include <thread>

#include "worker/service/directory_watch.hpp"
#include "worker/service/offers.hpp"

namespace retire::worker {

class PluginWatch {
 public:
  // `catalog` was opened. Signals must be blocked as in the thread that calls.
  PluginWatch(PluginCatalog catalog, OfferRules rules);
  ~PluginWatch();
  PluginWatch(const PluginWatch&) = delete;
  PluginWatch& operator=(const PluginWatch&) = delete;

  // Readable when take() has something.
  int descriptor() const { return ready_; }
  // The latest offers, if there are any that were not taken yet.
  std::optional<Offers> take();

 private:
  void watch_until_stopped();
  // Until something may have changed, `at_most` milliseconds are over (then true as well), or the worker stops (false).
  bool wait_for_change(int at_most);
  void settle();
  bool wait(int at_most, bool& event);

  PluginCatalog catalog_;
  OfferRules rules_;
  DirectoryWatch directories_;
  int ready_;  // eventfd, to the agent
  int stop_;   // eventfd, to the thread
  std::mutex mutex_;
  std::optional<Offers> latest_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace retire::worker
