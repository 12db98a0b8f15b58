// The worker without its network: assign messages are decoded, go through core and handler hosts, and their results
// are encoded and acknowledged, as the agent's loop does it.
//
//   rc_worker_throughput [SECONDS [SLOTS [WINDOW [hosts|basic|in-process]]]]
//
// hosts: without a sandbox; basic: with it; in-process: the handler is called by the agent itself, which no worker of
// ours does, to see what isolation costs.
#include <poll.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "common/base/time.hpp"
#include "common/protocol/codec.hpp"
#include "plugins/loader/loaded_plugin.hpp"
#include "tests/unit/worker/plugin_of.hpp"
#include "worker/core/core.hpp"
#include "worker/host/attempt_context.hpp"
#include "worker/host/host_pool.hpp"

namespace {

using namespace retire;

constexpr const char* kEcho = RC_BINARY_DIR "/lib/retire-cluster/plugins/echo.so";

TimePoint now() { return SystemClock::now().monotonic; }

double cpu_seconds(int who) {
  rusage usage{};
  getrusage(who, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Worker final : host::HostEvents {
 public:
  Worker(std::uint32_t slots, std::uint64_t window, const std::string& mode) : window_(window) {
    worker::CoreConfig config;
    config.device.device_id = "bench";
    config.device.slots = slots;
    config.device.handlers = {"echo"};
    core_ = std::make_unique<worker::Core>(config);
    host::HostPoolConfig pool;
    pool.program = RC_BINARY_DIR "/libexec/retire-cluster/retire-cluster-handler-host";
    pool.slots = slots;
    pool.setup = host::make_setup(config.device, {});
    sandbox::SeatsConfig sandboxes;
    if (mode == "basic") sandboxes.level = sandbox::Level::Basic;
    pool.seats = sandbox::Seats::make(sandboxes);
    if (mode == "in-process") here_ = std::make_unique<Here>();
    pool_ = std::make_unique<host::HostPool>(pool, static_cast<host::HostEvents&>(*this));
    core_->on_time(now(), effects_);
    effects_.clear();
    core_->on_socket_opened(now(), effects_);
    effects_.clear();
    Welcome welcome;
    welcome.heartbeat = std::chrono::hours(1);
    welcome.offline_after = std::chrono::hours(24);
    core_->on_welcome(welcome, now(), effects_);
    effects_.clear();
  }

  void run(double seconds) {
    const TimePoint begin = now();
    const TimePoint end = begin + from_seconds(seconds);
    const double cpu_begin = cpu_seconds(RUSAGE_SELF);
    while ((now_ = now()) < end) {
      if (outstanding_ >= window_) {
        pollfd wanted{pool_->descriptor(), POLLIN, 0};
        poll(&wanted, 1, 100);
        now_ = now();
      }
      pool_->poll();
      while (outstanding_ + 512 <= window_) assign();
      core_->on_time(now_, effects_);
      apply();
      core_->end_turn(now_, effects_);
      apply();
    }
    const double lasted = to_seconds(now() - begin);
    const double agent = cpu_seconds(RUSAGE_SELF) - cpu_begin;
    const std::uint64_t hosts = pool_->started();
    pool_.reset();
    const double host = cpu_seconds(RUSAGE_CHILDREN);
    const auto done = static_cast<double>(done_);
    std::printf(
        "{\"tasks_per_second\": %.0f, \"agent_us_per_task\": %.3f, \"hosts_us_per_task\": %.3f, \"hosts\": %llu, "
        "\"wrong\": %llu}\n",
        done / lasted, agent / done * 1e6, host / done * 1e6, static_cast<unsigned long long>(hosts),
        static_cast<unsigned long long>(wrong_));
  }

 private:
  // A handler without a host.
  struct Here {
    host::PageMapping page = host::PageMapping::create().value();
    host::AttemptContext context{page.page(), [] { return Error{ErrorCode::Io, "no scratch directory"}; }};
    HandlerInstance echo = LoadedPlugin::open(kEcho).value().make("echo", rc_setup{sizeof(rc_setup), {}, {}}).value();
  };
  void run_here(std::uint32_t slot, const worker::Run& run) {
    const std::int64_t begun = host::monotonic_ns();
    here_->context.begin(run.sequence, run.task, "echo", run.number, static_cast<std::uint64_t>(run.timeout.count()),
                         {}, begun);
    const rc_bytes payload{reinterpret_cast<const std::uint8_t*>(run.payload.data()), run.payload.size()};
    if (here_->echo.run(payload, here_->context.raw()) != RC_OK) std::abort();
    host::AttemptResult result;
    result.sequence = run.sequence;
    result.outcome = Outcome::Success;
    result.data = here_->context.result();
    result.run_ns = static_cast<std::uint64_t>(host::monotonic_ns() - begun);
    on_result(slot, result);
    apply();
  }
  void assign() {
    protocol::AssignBatch batch;
    batch.add_spec({"echo", std::chrono::seconds(300), Priority::Normal, false});
    static const std::string payload = "\xc4\x3e" + std::string(62, 'x');
    for (int i = 0; i < 512; ++i) {
      batch.add({TaskId(1, ++attempt_), make_attempt(1, attempt_), 0, payload, 1});
    }
    auto frame = std::make_shared<std::string>(batch.take(++assigns_));
    std::uint64_t correlation = 0;
    const auto envelope = protocol::decode_envelope(*frame, correlation);
    if (!envelope.ok() || !protocol::decode(envelope.value().body, assign_).ok()) std::abort();
    const std::size_t bytes = frame->size();
    core_->on_assign(correlation, assign_, std::move(frame), bytes, now_, effects_);
    outstanding_ += 512;
    apply();
  }

  void on_result(std::uint32_t slot, const host::AttemptResult& result) override {
    worker::HostResult told;
    told.sequence = result.sequence;
    told.skipped = result.skipped;
    told.outcome = result.outcome;
    told.data = result.data;
    told.run_ns = result.run_ns;
    if (!result.skipped && (!result.data || result.data->size() != 70)) ++wrong_;
    core_->on_result(slot, told, now_, effects_);
  }
  void on_results_end() override { apply(); }
  void on_host_lost(std::uint32_t, const host::Loss& loss) override {
    std::printf("lost: %s %s\n", loss.reason.c_str(), loss.output.c_str());
    std::exit(1);
  }

  void apply() {
    for (const worker::Outgoing& result : effects_.finished) {
      if (result.batch != batch_number_) seal();
      batch_number_ = result.batch;
      finished_.add(result.item);
      ++done_;
      --outstanding_;
    }
    effects_.finished.clear();
    if (performing_) return;
    performing_ = true;
    while (effects_.any()) {
      std::swap(effects_, performed_);
      effects_.clear();
      for (const worker::Handover& handover : performed_.handovers) {
        if (!here_) pool_->begin(handover.slot, echo_, "echo", handover.count);
        for (std::size_t i = handover.first; i < handover.first + handover.count; ++i) {
          const worker::Run& run = performed_.runs[i];
          if (here_) {
            run_here(handover.slot, run);
            continue;
          }
          pool_->add({run.sequence, run.task, run.number, run.timeout, run.payload});
        }
        if (!here_) pool_->end();
      }
      for (const worker::Order& order : performed_.orders) {
        if (order.kind == worker::Order::Kind::Look) {
          const auto seen = pool_->look(order.slot);
          core_->on_looked(order.slot, seen.running, seen.started, now_, effects_);
        } else if (order.kind == worker::Order::Kind::TakeBack) {
          const auto seen = pool_->take_back(order.slot);
          core_->on_taken_back(order.slot, seen.running, seen.started, now_, effects_);
        }
      }
      for (const std::uint64_t batch : performed_.send) {
        if (batch == batch_number_) seal();
        core_->on_ack(batch, now_, effects_);
      }
    }
    performing_ = false;
  }
  void seal() {
    if (finished_.count() > 0) sealed_ = finished_.take(batch_number_);
  }

  std::unique_ptr<worker::Core> core_;
  host::PluginPtr echo_ = host::plugin_of(kEcho);
  std::unique_ptr<host::HostPool> pool_;
  std::unique_ptr<Here> here_;
  worker::Effects effects_;
  worker::Effects performed_;
  bool performing_ = false;
  Assign assign_;
  protocol::FinishedBatch finished_;
  std::string sealed_;
  std::uint64_t batch_number_ = 0;
  TimePoint now_{};
  std::uint64_t window_;
  std::uint64_t outstanding_ = 0;
  std::uint64_t attempt_ = 0;
  std::uint64_t assigns_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t wrong_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 3;
  const auto slots = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 1);
  const auto window = static_cast<std::uint64_t>(argc > 3 ? std::atoll(argv[3]) : 10'000);
  Worker(slots, window, argc > 4 ? argv[4] : "hosts").run(seconds);
}
