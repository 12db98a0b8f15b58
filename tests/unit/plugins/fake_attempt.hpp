// One attempt without a host: an rc_context that remembers what the handler said.
#pragma once

#include <retire_cluster/plugin_abi.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace retire::test {

inline std::string to_msgpack(const nlohmann::json& value) {
  const std::vector<std::uint8_t> bytes = nlohmann::json::to_msgpack(value);
  return {bytes.begin(), bytes.end()};
}

inline rc_bytes as_bytes(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

class FakeAttempt {
 public:
  FakeAttempt() {
    context_.size_bytes = sizeof(context_);
    context_.attempt = 1;
    context_.task_id = "0a0b0c0d-0000-4000-8000-000000000001";
    context_.task_type = "under_test";
    context_.host = this;
    context_.cancelled = [](const rc_context* c) { return self(c).is_cancelled() ? 1 : 0; };
    context_.wait = [](const rc_context* c, double seconds) { return self(c).wait(seconds) ? 1 : 0; };
    context_.seconds_left = [](const rc_context*) { return 300.0; };
    context_.log = [](const rc_context* c, int, const char* text, std::size_t size) {
      self(c).log_lines.emplace_back(text, size);
    };
    context_.progress = [](const rc_context* c, double fraction, const char* text, std::size_t size) {
      self(c).progress.emplace_back(fraction, std::string(text, size));
    };
    context_.result = [](const rc_context* c, const std::uint8_t* data, std::size_t size) {
      self(c).result.assign(reinterpret_cast<const char*>(data), size);
    };
    context_.error = [](const rc_context* c, const char* message, std::size_t message_size, const char* trace,
                        std::size_t trace_size) {
      self(c).error.assign(message, message_size);
      self(c).traceback.assign(trace, trace_size);
    };
    context_.save_checkpoint = [](const rc_context* c, const std::uint8_t* data, std::size_t size) {
      if (size > RC_CHECKPOINT_BYTES_MAX) return 1;
      self(c).checkpoint.assign(reinterpret_cast<const char*>(data), size);
      return 0;
    };
    context_.scratch_dir = [](const rc_context* c) -> const char* {
      return self(c).scratch.empty() ? nullptr : self(c).scratch.c_str();
    };
  }
  FakeAttempt(const FakeAttempt&) = delete;
  FakeAttempt& operator=(const FakeAttempt&) = delete;

  const rc_context& context() const { return context_; }

  void cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }
  // Cancelled as soon as this is true; asked whenever the handler asks.
  void cancel_when(std::function<bool()> condition) { condition_ = std::move(condition); }
  bool is_waiting() const { return waiting_; }

  nlohmann::json result_json() const { return nlohmann::json::from_msgpack(result.begin(), result.end(), true, false); }

  // What an earlier attempt has saved; it must outlive the attempt.
  void hand(const std::string& saved) { context_.checkpoint = as_bytes(saved); }
  // As a host has it that was built before `member` was there.
  void forget_from(std::size_t offset) { context_.size_bytes = static_cast<std::uint32_t>(offset); }

  std::string result;
  std::string checkpoint;  // the latest that was saved
  std::string scratch;     // empty: it cannot be made
  std::string error;
  std::string traceback;
  std::vector<std::string> log_lines;
  std::vector<std::pair<double, std::string>> progress;
  std::vector<double> waits;  // what wait() was asked for

 private:
  static FakeAttempt& self(const rc_context* context) { return *static_cast<FakeAttempt*>(context->host); }

  bool is_cancelled() {
    if (condition_ && condition_()) cancelled_ = true;
    return cancelled_;
  }
  bool wait(double seconds) {
    std::unique_lock lock(mutex_);
    waits.push_back(seconds);
    waiting_ = true;
    changed_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return cancelled_.load(); });
    waiting_ = false;
    return cancelled_;
  }

  rc_context context_{};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> cancelled_ = false;
  std::atomic<bool> waiting_ = false;
  std::function<bool()> condition_;
};

// A handler of this class behind its C functions, as a host has it.
class Hosted {
 public:
  explicit Hosted(const rc_handler& handler, const nlohmann::json& settings = nullptr,
                  const nlohmann::json& device = nullptr)
      : handler_(handler) {
    const std::string settings_bytes = settings.is_null() ? std::string() : to_msgpack(settings);
    const std::string device_bytes = device.is_null() ? std::string() : to_msgpack(device);
    const rc_setup setup{sizeof(rc_setup), as_bytes(device_bytes), as_bytes(settings_bytes)};
    const auto keep = [](void* to, const char* text, std::size_t size) {
      static_cast<std::string*>(to)->assign(text, size);
    };
    self_ = handler_.create(&setup, keep, &refusal);
  }
  ~Hosted() {
    if (self_ != nullptr) handler_.destroy(self_);
  }
  Hosted(const Hosted&) = delete;
  Hosted& operator=(const Hosted&) = delete;

  bool created() const { return self_ != nullptr; }
  int run(const nlohmann::json& payload, FakeAttempt& attempt) { return run_bytes(to_msgpack(payload), attempt); }
  int run_bytes(const std::string& payload, FakeAttempt& attempt) {
    return handler_.run(self_, as_bytes(payload), &attempt.context());
  }

  std::string refusal;

 private:
  rc_handler handler_;
  void* self_ = nullptr;
};

// Waits for a condition, with a deadline; never for a time.
template <class Condition>
bool eventually(const Condition& condition, std::chrono::seconds limit = std::chrono::seconds(20)) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace retire::test
