#include "worker/host/host_pool.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/assert.hpp"
#include "worker/sandbox/processes.hpp"

namespace retire::host {
namespace {

constexpr std::size_t kOutputPerTurn = std::size_t{256} << 10;
constexpr std::size_t kOutputAtEnd = std::size_t{1} << 20;
constexpr int kEventsPerTurn = 64;
constexpr std::uint64_t kOutputBit = 1;  // beside the process number: which of a host's descriptors it is

epoll_event event_for(std::uint32_t events, pid_t pid, bool output) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = static_cast<std::uint64_t>(pid) << 1 | (output ? kOutputBit : 0);
  return event;
}

}  // namespace

HostPool::HostPool(HostPoolConfig config, HostEvents& events)
    : config_(std::move(config)),
      encoded_setup_(encode_setup(config_.setup)),
      events_(events),
      epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  RC_ASSERT(epoll_.get() >= 0);
  if (config_.seats == nullptr) config_.seats = sandbox::Seats::make({});
  sandbox::adopt_orphans();
}

HostPool::~HostPool() {
  for (const auto& host : hosts_) host->process->kill();  // all at once, so that they end together
}

HostPool::Host* HostPool::of_slot(std::uint32_t slot) {
  for (const auto& host : hosts_) {
    if (host->slot == slot) return host.get();
  }
  return nullptr;
}

const HostPool::Host* HostPool::of_slot(std::uint32_t slot) const {
  for (const auto& host : hosts_) {
    if (host->slot == slot) return host.get();
  }
  return nullptr;
}

// One that has this plugin loaded and nothing to do: the one used last, as its memory is the warmest.
HostPool::Host* HostPool::find_warm(const Plugin* plugin) {
  Host* found = nullptr;
  for (const auto& host : hosts_) {
    const HostProcess& process = *host->process;
    if (process.unanswered() > 0 || process.killed() || process.spent() || process.plugin() != plugin) continue;
    if (found == nullptr || host->used > found->used) found = host.get();
  }
  return found;
}

// Before another is started: ends the one that has been idle the longest, if there are as many as may be.
void HostPool::make_room() {
  std::size_t alive = 0;
  Host* oldest = nullptr;
  Host* taken_back = nullptr;  // at work on nothing that anybody waits for
  for (const auto& host : hosts_) {
    if (host->process->killed()) continue;
    ++alive;
    if (host->process->unanswered() == 0) {
      if (oldest == nullptr || host->used < oldest->used) oldest = host.get();
    } else if (host->slot == UINT32_MAX) {
      taken_back = host.get();
    }
  }
  if (alive < config_.slots + config_.warm_extra) return;
  Host* ended = oldest != nullptr ? oldest : taken_back;
  if (ended == nullptr) return;
  let_go(*ended);
}

// Ends a host that nobody waits for.
void HostPool::let_go(Host& host) {
  host.slot = UINT32_MAX;
  host.process->kill();
}

void HostPool::watch(Host& host, int operation) {
  const std::uint32_t events = EPOLLIN | (host.waits_to_write ? std::uint32_t{EPOLLOUT} : 0u);
  epoll_event event = event_for(events, host.process->pid(), false);
  epoll_ctl(epoll_.get(), operation, host.process->socket(), &event);
}

void HostPool::begin(std::uint32_t slot, const PluginPtr& plugin, std::string_view handler, std::size_t count) {
  RC_ASSERT(current_ == nullptr);
  Host* host = of_slot(slot);
  if (host != nullptr && host->process->spent() && host->process->unanswered() == 0) {
    let_go(*host);
    host = nullptr;
  }
  if (host != nullptr && (host->process->plugin() != plugin.get() || host->process->killed())) {
    host->slot = UINT32_MAX;
    host = nullptr;
  }
  if (host == nullptr) {
    host = find_warm(plugin.get());
    if (host != nullptr) host->slot = slot;
  }
  if (host == nullptr) {
    make_room();
    Result<sandbox::Seat> seat = config_.seats->take(plugin->manifest.terms);
    Result<std::unique_ptr<HostProcess>> started =
        seat.ok() ? HostProcess::start(config_.program, plugin, encoded_setup_, std::move(seat).value(),
                                       config_.attempts_per_host)
                  : Result<std::unique_ptr<HostProcess>>(seat.error());
    if (!started.ok()) {
      failed_starts_.emplace_back(slot, Loss{0, started.error().detail, {}});
      return;
    }
    ++started_;
    host = hosts_.emplace_back(std::make_unique<Host>()).get();
    host->process = std::move(started).value();
    host->slot = slot;
    watch(*host, EPOLL_CTL_ADD);
    epoll_event event = event_for(EPOLLIN, host->process->pid(), true);
    epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, host->process->output(), &event);
  }
  host->used = ++uses_;
  host->process->begin_runs(handler, count);
  current_ = host;
}

void HostPool::add(const RunRequest& run) {
  if (current_ != nullptr) current_->process->add_run(run);
}

void HostPool::end() {
  if (current_ == nullptr) return;
  current_->process->end_runs();
  flush(*current_);
  current_ = nullptr;
}

void HostPool::renew(const Setup& setup) {
  RC_ASSERT(current_ == nullptr);
  encoded_setup_ = encode_setup(setup);
  for (const auto& host : hosts_) {
    host->process->retire();
    if (host->process->unanswered() == 0 && !host->process->killed()) let_go(*host);
  }
}

void HostPool::flush(Host& host) {
  const bool waits = host.process->flush();
  if (host.process->closed()) host.process->hung_up();
  if (waits == host.waits_to_write) return;
  host.waits_to_write = waits;
  watch(host, EPOLL_CTL_MOD);
}

void HostPool::give_results(Host& host) {
  host.process->read_socket();
  bool any = false;
  while (const AttemptResult* result = host.process->next_result()) {
    any = true;
    if (host.slot != UINT32_MAX) events_.on_result(host.slot, *result);
  }
  if (any) events_.on_results_end();
  host.process->release();
  if (host.process->killed()) return;
  if (host.process->broken()) {
    host.process->kill();
  } else if (host.process->unanswered() == 0 && host.process->spent() && current_ != &host) {
    let_go(host);  // now and not when it is needed: what it could not clean up ends with it
  }
}

void HostPool::poll() {
  for (std::vector<std::pair<std::uint32_t, Loss>> failed = std::exchange(failed_starts_, {});
       const auto& [slot, loss] : failed) {
    events_.on_host_lost(slot, loss);
  }
  std::array<epoll_event, kEventsPerTurn> ready{};
  const int count = epoll_wait(epoll_.get(), ready.data(), kEventsPerTurn, 0);
  bool ended = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = ready.at(static_cast<std::size_t>(i));
    const auto pid = static_cast<pid_t>(event.data.u64 >> 1);
    const auto found =
        std::find_if(hosts_.begin(), hosts_.end(), [pid](const auto& host) { return host->process->pid() == pid; });
    if (found == hosts_.end()) continue;
    Host& host = **found;
    if ((event.data.u64 & kOutputBit) != 0) {
      if (!host.process->read_output(kOutputPerTurn)) {
        epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, host.process->output(), nullptr);
        host.output_open = false;
        ended = true;
      }
      continue;
    }
    if ((event.events & EPOLLOUT) != 0) flush(host);
    give_results(host);
    if ((event.events & (EPOLLHUP | EPOLLERR)) != 0 || host.process->closed() || host.process->broken()) {
      // Closed by the host: it has ended, and a signal does not change how any more; or it has lost its mind. Then
      // nothing more is heard of it.
      host.process->hung_up();
      epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, host.process->socket(), nullptr);
      ended = true;
    }
  }
  if (ended) reap();
}

void HostPool::reap() {
  for (std::size_t i = 0; i < hosts_.size();) {
    Host& host = *hosts_[i];
    if (!host.process->reap()) {
      ++i;
      continue;
    }
    give_results(host);
    host.process->read_output(kOutputAtEnd);
    orphans_ |= host.process->unsupervised();
    const std::unique_ptr<Host> gone = std::move(hosts_[i]);
    hosts_.erase(hosts_.begin() + static_cast<std::ptrdiff_t>(i));
    if (gone->slot != UINT32_MAX && (gone->process->unanswered() > 0 || gone->process->broken())) {
      HostProcess::LastWords last = gone->process->last_words();
      events_.on_host_lost(gone->slot, {gone->process->running(), gone->process->reason(), gone->process->output_text(),
                                        std::move(last.logs), std::move(last.checkpoint),
                                        gone->process->plugin()->identity, gone->process->met()});
    } else if (gone->slot != UINT32_MAX && gone->kill_ordered) {
      // Killed for an attempt that was answered at that very moment: whoever ordered it waits for the end.
      events_.on_host_lost(gone->slot, {0, gone->process->reason(), {}});
    }
  }
  if (orphans_) orphans_ = !end_orphans();  // their ends bring us here again
}

HostPool::Seen HostPool::look(std::uint32_t slot) const {
  const Host* host = of_slot(slot);
  if (host == nullptr) return {};
  return {host->process->running(), host->process->started()};
}

HostPool::Seen HostPool::take_back(std::uint32_t slot) {
  Host* host = of_slot(slot);
  if (host == nullptr) return {};
  host->process->take_back();
  const Seen seen = look(slot);  // after the word was written: what is not begun by now will not be
  give_results(*host);
  return seen;
}

const AttemptTold* HostPool::listen(std::uint32_t slot, std::uint64_t sequence, bool again) {
  Host* host = of_slot(slot);
  return host == nullptr ? nullptr : host->process->listen(sequence, again);
}

void HostPool::cancel(std::uint32_t slot, std::uint64_t sequence) {
  if (Host* host = of_slot(slot)) host->process->cancel(sequence);
}

void HostPool::terminate(std::uint32_t slot) {
  if (Host* host = of_slot(slot)) host->process->terminate();
}

void HostPool::kill(std::uint32_t slot) {
  if (Host* host = of_slot(slot)) {
    host->kill_ordered = true;
    host->process->kill();
  } else {
    failed_starts_.emplace_back(slot, Loss{0, "handler process is gone", {}});
  }
}

pid_t HostPool::pid_of(std::uint32_t slot) const {
  const Host* host = of_slot(slot);
  return host == nullptr ? -1 : host->process->pid();
}

}  // namespace retire::host
