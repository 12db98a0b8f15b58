// Serves "retire-cluster store" while main runs: backups, verification, compaction, on a thread of its own, so that
// neither the loop nor the keeper waits for them.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "broker/store/admin.hpp"
#include "broker/store/engine.hpp"

namespace retire::store {

class Administrator {
 public:
  explicit Administrator(Shared& shared) : shared_(shared) {}
  ~Administrator() { stop(); }
  // `directory`: the store's.
  void start(std::unique_ptr<AdminSocket> socket, const std::string& directory);
  // Waits for a backup under way; ends a verification or compaction.
  void stop();

 private:
  void run();
  std::string serve(const std::string& request);

  Shared& shared_;
  std::string data_dir_;
  std::unique_ptr<AdminSocket> socket_;
  Bell wake_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace retire::store
