// What the core is set up with; an immutable value, checked where it is read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/base/time.hpp"

namespace retire::core {

// How much is kept of what attempts tell before they end.
struct LiveLimits {
  std::size_t task_log_bytes_max = std::size_t{256} << 10;
  std::size_t log_bytes_max = std::size_t{64} << 20;          // of all tasks
  std::size_t checkpoint_bytes_max = std::size_t{512} << 20;  // of all tasks
};

struct SchedulerConfig {
  Duration offline_after = std::chrono::seconds(15);  // silence after which a device gets no new task
  Duration lease = std::chrono::seconds(30);          // silence after which its attempts go to others
  Duration retry_delay_first = std::chrono::seconds(1);
  Duration retry_delay_max = std::chrono::seconds(60);

  std::uint64_t waiting_tasks_max = 10'000'000;
  std::uint64_t waiting_bytes_max = std::uint64_t{4} << 30;  // of payloads
  Duration busy_retry_after = std::chrono::seconds(1);       // what a refused client is told

  // Whether records are kept by a store that can be asked for them again.
  bool durable = false;
  // With such a store: how many bytes of payloads and results are also kept here.
  std::uint64_t memory_budget = std::uint64_t{256} << 20;

  std::uint64_t history_tasks_max = 1'000'000;  // finished tasks that are kept
  std::uint64_t history_bytes_max = std::uint64_t{512} << 20;
  Duration history_age_max = std::chrono::hours(24 * 7);
  std::uint32_t offline_devices_max = 10'000;  // kept for a look; the longest away go first

  // Sending ahead: how much expected work a device may hold beyond what it runs, so that it never waits for the network
  // while tasks are short (a longer round trip, which is measured, widens it: Device::work_max_us, Device::bridges);
  // and after how long what it has not started is taken back for a device that is idle.
  Duration ahead_work = std::chrono::milliseconds(20);
  std::uint32_t held_max = 8'192;
  Duration recall_after = std::chrono::milliseconds(20);

  // A gap between two advances that is longer than this means that main itself stood still: nobody's silence is counted
  // for that time.
  Duration frozen_after = std::chrono::seconds(5);

  // A waiting task counts as one priority higher for each such time; zero: never.
  Duration age_after{};
  // How long a retried task waits for another device than the one it failed on, when one could run it.
  Duration avoid_for = std::chrono::seconds(5);
  // After so many failures in a row of what other devices complete, a device is left out for a time that doubles with
  // each repetition.
  std::uint32_t quarantine_failures = 5;
  Duration quarantine_first = std::chrono::minutes(1);
  Duration quarantine_max = std::chrono::hours(1);

  LiveLimits live;

  std::uint32_t lost_max = 3;  // a task that took its device down this often is set aside
};

}  // namespace retire::core
