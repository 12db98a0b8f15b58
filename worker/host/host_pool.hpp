// The handler hosts of a worker: who works for which slot, who waits warm, who is started and ended.
//
// Bounded: one host for each slot and a few warm ones beside. Nothing blocks but shut_down(). Threads: one.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/host/host_process.hpp"

namespace retire::host {

struct Loss {
  std::uint64_t running = 0;
  std::string reason;
  std::string output;
  std::string logs{};        // of what ran: as the protocol has them; empty: none
  std::string checkpoint{};  // its latest; empty: none
  std::string plugin{};      // its identity, as in results; empty: no host came about
  std::string met{};         // limits of its control group that it had met; empty: none
};

// Where things of hosts go. Called from within HostPool::poll() and take_back() only.
class HostEvents {
 public:
  virtual ~HostEvents() = default;
  virtual void on_result(std::uint32_t slot, const AttemptResult& result) = 0;
  // The results given since the last call are to be used now: their views go.
  virtual void on_results_end() = 0;
  virtual void on_host_lost(std::uint32_t slot, const Loss& loss) = 0;
};

struct HostPoolConfig {
  std::string program;  // retire-cluster-handler-host
  Setup setup;
  std::uint32_t slots = 1;
  std::uint32_t warm_extra = 4;           // hosts kept beside one for each slot
  std::shared_ptr<sandbox::Seats> seats;  // null: no sandbox
  // Then a host is replaced, for what it may have gathered unseen. At full speed that is every few seconds, and a start
  // costs a few milliseconds.
  std::size_t attempts_per_host = 10'000'000;
};

class HostPool {
 public:
  HostPool(HostPoolConfig config, HostEvents& events);
  ~HostPool();
  HostPool(const HostPool&) = delete;
  HostPool& operator=(const HostPool&) = delete;

  // Readable when poll() has something to do.
  int descriptor() const { return epoll_.get(); }
  // True if poll() has something to do at once.
  bool pending() const { return !failed_starts_.empty(); }
  void poll();
  // A process has ended (SIGCHLD).
  void reap();

  // Gives attempts of one handler of a plugin to the host of `slot`, starting one if need be. Its answers come by
  // events; so does its failure to start.
  void begin(std::uint32_t slot, const PluginPtr& plugin, std::string_view handler, std::size_t count);
  void add(const RunRequest& run);
  void end();

  // From now on hosts are told this at their start. Those that were told otherwise end when what they have is done, and
  // so do those of plugins that have been replaced since.
  void renew(const Setup& setup);

  struct Seen {
    std::uint64_t running = 0;
    TimePoint started{};
  };
  Seen look(std::uint32_t slot) const;
  // Results that lie ready are given first.
  Seen take_back(std::uint32_t slot);
  // What the attempt `sequence` has told, as HostProcess::listen(); null when it does not run there any more.
  const AttemptTold* listen(std::uint32_t slot, std::uint64_t sequence, bool again);
  void cancel(std::uint32_t slot, std::uint64_t sequence);
  // SIGTERM for the host and all it has started.
  void terminate(std::uint32_t slot);
  void kill(std::uint32_t slot);

  std::size_t size() const { return hosts_.size(); }
  std::uint64_t started() const { return started_; }
  pid_t pid_of(std::uint32_t slot) const;  // its supervisor's

 private:
  struct Host {
    std::unique_ptr<HostProcess> process;
    std::uint32_t slot = UINT32_MAX;  // none
    std::uint64_t used = 0;           // when it was given work last, as a count
    bool waits_to_write = false;
    bool kill_ordered = false;  // by kill(): its end is to be told
    bool output_open = true;
  };
  Host* of_slot(std::uint32_t slot);
  const Host* of_slot(std::uint32_t slot) const;
  Host* find_warm(const Plugin* plugin);
  void make_room();
  void let_go(Host& host);
  void give_results(Host& host);
  void flush(Host& host);
  void watch(Host& host, int operation);

  HostPoolConfig config_;
  std::string encoded_setup_;
  HostEvents& events_;
  Fd epoll_;
  std::vector<std::unique_ptr<Host>> hosts_;
  Host* current_ = nullptr;  // between begin() and end()
  std::vector<std::pair<std::uint32_t, Loss>> failed_starts_;
  std::uint64_t uses_ = 0;
  std::uint64_t started_ = 0;
  bool orphans_ = false;  // what a killed supervisor has left may be among our children
};

}  // namespace retire::host
