// A main for tests: a thread that speaks the codec, keeps tasks in a map and ends each as its type says:
//   "echo" succeeds with its payload, "fail" fails with a message and logs, "slow" never ends, all others are queued.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/model/messages.hpp"
#include "common/net/socket.hpp"
#include "common/protocol/codec.hpp"

namespace retire::test {

class FakeMain {
 public:
  FakeMain();
  ~FakeMain();
  FakeMain(const FakeMain&) = delete;
  FakeMain& operator=(const FakeMain&) = delete;

  std::string address() const { return router_->address().text(); }
  Address parsed_address() const { return router_->address(); }

  // All of these may be set from the test's thread.
  std::atomic<int> busy_answers{0};  // so many submissions are answered `busy`
  std::atomic<bool> mute{false};     // hears, says nothing
  std::atomic<bool> refuse_hello{false};
  std::atomic<bool> hold_results{false};  // tasks end only when this is false again
  std::atomic<bool> has_devices{true};

  void forget_sessions() { forget_sessions_ = true; }      // as a main that restarted and kept its tasks
  void forget_everything() { forget_everything_ = true; }  // as one that kept nothing

  std::size_t task_count() const;
  std::size_t submissions() const { return submissions_; }
  std::size_t hellos() const { return hellos_; }
  // Of the submission messages received: how many tasks each had.
  std::vector<std::size_t> batch_sizes() const;

 private:
  struct Task {
    TaskSpec spec;
    std::string payload;
    std::string metadata;
    TaskStatus status = TaskStatus::Queued;
    std::uint64_t number = 0;
    std::set<std::string> watchers;  // peers
    bool told = false;
  };

  void run();
  void on_frame(const std::string& peer, std::string_view bytes);
  void on_submit(const std::string& peer, std::uint64_t correlation, ByteView body);
  void on_wait(const std::string& peer, std::uint64_t correlation, ByteView body);
  void on_get(const std::string& peer, std::uint64_t correlation, ByteView body);
  void on_list(const std::string& peer, std::uint64_t correlation, ByteView body);
  void on_cancel(const std::string& peer, std::uint64_t correlation, ByteView body);
  void on_why(const std::string& peer, std::uint64_t correlation, ByteView body);
  void on_devices(const std::string& peer, std::uint64_t correlation, ByteView body);
  void on_stats(const std::string& peer, std::uint64_t correlation);
  void finish_tasks();
  void push(const std::string& peer, const TaskId& id, const Task& task);
  TaskReport report(const TaskId& id, const Task& task, bool payload, bool result) const;
  void answer(const std::string& peer, std::string frame);
  void refuse(const std::string& peer, std::uint64_t correlation, ErrorCode code, const std::string& message,
              std::optional<std::uint64_t> index = std::nullopt);

  net::Context context_;
  std::optional<net::Router> router_;
  std::set<std::string> sessions_;
  mutable std::mutex mutex_;
  std::map<TaskId, Task> tasks_;
  std::vector<std::size_t> batch_sizes_;
  std::uint64_t next_number_ = 1;
  InstanceId instance_{1, 1};
  Capabilities device_;
  std::string failure_logs_;
  std::atomic<std::size_t> submissions_{0};
  std::atomic<std::size_t> hellos_{0};
  std::atomic<bool> forget_sessions_{false};
  std::atomic<bool> forget_everything_{false};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace retire::test
