// How long a schedule takes: devices of known speeds, tasks whose lengths only the devices find out, a network with a
// delay, and somebody who gives out the tasks. Without faults; deterministic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/rng.hpp"
#include "common/base/time.hpp"

namespace retire::sim {

struct Fleet {
  struct Machine {
    double speed = 1;  // work done in a second by one slot
    std::uint32_t slots = 1;
  };
  std::vector<Machine> machines;
  Duration delay{};  // of a message, one way

  double speed() const;  // of all slots
};

// One task on one device, as the giver knows it.
struct Handed {
  std::size_t machine = 0;
  std::size_t task = 0;
  std::uint64_t handle = 0;  // the giver's own name for it
};

struct Orders {
  std::vector<Handed> assigns;
  std::vector<Handed> recalls;
};

// Who decides. Every call is told the time, and adds to `out` what is sent to the devices.
class Giver {
 public:
  virtual ~Giver() = default;
  virtual void submit(std::size_t tasks, TimePoint now, Orders& out) = 0;
  virtual void finished(const Handed& what, Duration run, TimePoint now, Orders& out) = 0;
  virtual void returned(const Handed& what, TimePoint now, Orders& out) = 0;
  // The device is alive, has seen so many assigned tasks and holds these.
  virtual void heartbeat(std::size_t machine, std::uint64_t seen, const std::vector<std::uint64_t>& held, TimePoint now,
                         Orders& out) = 0;
  virtual void time_passed(TimePoint now, Orders& out) = 0;
  virtual std::optional<TimePoint> next_deadline() const = 0;
};

// The scheduler of this project.
std::unique_ptr<Giver> core_giver(const Fleet& fleet, std::uint64_t seed);
// The next task goes to the first device, in the order of joining, with a free slot; nothing is sent ahead.
std::unique_ptr<Giver> first_fit_giver(const Fleet& fleet);
// Each task goes to a device drawn at random when it is submitted, and waits there.
std::unique_ptr<Giver> random_giver(const Fleet& fleet, std::uint64_t seed);

struct Schedule {
  Duration makespan{};  // until the last result is at main
  std::size_t ended = 0;
  std::size_t run_twice = 0;
  std::size_t sent = 0;
  std::size_t returned = 0;
};

// All tasks are submitted at once. `work[i]`: seconds that task i takes at speed 1.
Schedule carry_out(const Fleet& fleet, const std::vector<double>& work, Giver& giver);

}  // namespace retire::sim
