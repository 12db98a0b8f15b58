#include "worker/service/duty_watch.hpp"

#include <time.h>

#include "common/logging/logging.hpp"
#include "common/sensors/power.hpp"
#include "common/sensors/thermal.hpp"

namespace retire::worker {
namespace {

constexpr Duration kProgramTimeout = std::chrono::seconds(5);

LocalTime local_time() {
  const time_t now = time(nullptr);
  tm broken_down{};
  localtime_r(&now, &broken_down);
  return {(broken_down.tm_wday + 6) % 7, broken_down.tm_hour * 60 + broken_down.tm_min};
}

}  // namespace

DutyWatch::DutyWatch(DutyConfig config) : config_(std::move(config)), duty_(config_.rules) {
  const DutyRules& rules = config_.rules;
  if (!rules.battery_min_percent && !rules.celsius_max && !rules.load_max) return;  // the clock needs no thread
  latest_ = measure();
  tell_what_is_missing();
  thread_ = std::thread([this] { measure_until_stopped(); });
}

DutyWatch::~DutyWatch() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

DutyReadings DutyWatch::measure() const {
  DutyReadings out;
  if (config_.rules.battery_min_percent) {
    const sensors::Power power = sensors::ask_power(config_.root, kProgramTimeout);
    out.on_battery = power.on_battery;
    out.battery_percent = power.battery_percent;
  }
  if (config_.rules.celsius_max) {
    out.celsius = sensors::read_temperature(config_.root);
    // Of a phone only the battery's may be told, which is what its owner cares for anyway.
    if (!out.celsius) out.celsius = sensors::ask_power(config_.root, kProgramTimeout).battery_celsius;
  }
  if (config_.rules.load_max) out.load = sensors::read_load(config_.root);
  return out;
}

void DutyWatch::measure_until_stopped() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!wake_.wait_for(lock, config_.interval, [this] { return stopped_; })) {
    lock.unlock();
    const DutyReadings measured = measure();
    lock.lock();
    latest_ = measured;
  }
}

void DutyWatch::tell_what_is_missing() const {
  const DutyRules& rules = config_.rules;
  if (rules.battery_min_percent && !latest_.on_battery) {
    logging::warn("this system does not tell whether it runs on battery: --pause-on-battery has nothing to go by");
  }
  if (rules.celsius_max && !latest_.celsius) {
    logging::warn("this system tells no temperature: --max-temperature has nothing to go by");
  }
  if (rules.load_max && !latest_.load) {
    logging::warn("this system tells no load average: --max-load has nothing to go by");
  }
}

Duration DutyWatch::until_due(TimePoint now) const {
  if (!config_.rules.any()) return Duration::max();
  return due_ <= now ? Duration::zero() : due_ - now;
}

const std::string& DutyWatch::judge(TimePoint now, std::uint32_t running) {
  DutyReadings readings;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    readings = latest_;
  }
  readings.running = running;
  readings.local = local_time();
  due_ = now + config_.interval;
  return duty_.update(readings, now);
}

}  // namespace retire::worker
