// How good the schedule is: 20 devices whose speeds differ ten times, 20,000 tasks whose lengths nobody knows
// beforehand and that differ thirty times. Nothing can be faster than all the work at the speed of all devices; the
// core has to stay within a tenth of that. Beside it, on the same tasks: first fit, and a device drawn at random.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "tests/sim/schedule.hpp"

namespace retire::sim {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kDevices = 20;
constexpr std::size_t kTasks = 20'000;
constexpr double kFastest = 10;  // times the slowest
constexpr double kAlpha = 1.5;
constexpr double kLongestOfBound = 0.05;  // on the slowest device; longer ones would decide alone when all is done
constexpr double kBound = 1.10;

struct Shape {
  const char* name;
  double shortest_s;  // of a task, at the slowest device
  double spread;      // the longest is so many times the shortest
  std::uint32_t slots_max;
  Duration delay;
};

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.name; }

// By inversion of the distribution function.
double bounded_pareto(Rng& rng, double low, double high) {
  const double tail = 1 - std::pow(low / high, kAlpha);
  return std::min(high, low / std::pow(1 - rng.unit() * tail, 1 / kAlpha));
}

// In an order that says nothing about their speeds.
Fleet draw_fleet(const Shape& shape, Rng& rng) {
  Fleet fleet;
  fleet.delay = shape.delay;
  for (std::size_t i = 0; i < kDevices; ++i) {
    const double speed = std::pow(kFastest, static_cast<double>(i) / (kDevices - 1));
    fleet.machines.push_back({speed, 1 + static_cast<std::uint32_t>(rng.below(shape.slots_max))});
  }
  for (std::size_t i = kDevices - 1; i > 0; --i) std::swap(fleet.machines[i], fleet.machines[rng.below(i + 1)]);
  return fleet;
}

class Quality : public ::testing::TestWithParam<Shape> {};

TEST_P(Quality, ScheduleIsWithinATenthOfTheBound) {
  const Shape shape = GetParam();
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    const Fleet fleet = draw_fleet(shape, rng);
    std::vector<double> work(kTasks);
    for (double& one : work) one = bounded_pareto(rng, shape.shortest_s, shape.shortest_s * shape.spread);
    const double bound = std::accumulate(work.begin(), work.end(), 0.0) / fleet.speed();
    ASSERT_LE(*std::max_element(work.begin(), work.end()), kLongestOfBound * bound);

    const auto core = core_giver(fleet, seed);
    const auto first_fit = first_fit_giver(fleet);
    const auto random = random_giver(fleet, seed);
    const Schedule ours = carry_out(fleet, work, *core);
    const Schedule by_first_fit = carry_out(fleet, work, *first_fit);
    const Schedule by_random = carry_out(fleet, work, *random);
    const auto of_bound = [&](const Schedule& schedule) { return to_seconds(schedule.makespan) / bound; };

    std::printf("%-28s seed %llu  bound %8.2f s  core %.3f  first fit %.3f  random %.3f  (came back %zu)\n", shape.name,
                static_cast<unsigned long long>(seed), bound, of_bound(ours), of_bound(by_first_fit),
                of_bound(by_random), ours.returned);
    EXPECT_GE(of_bound(ours), 1.0);  // or it did not do the work
    EXPECT_LE(of_bound(ours), kBound);
    EXPECT_EQ(ours.ended, kTasks);
    EXPECT_EQ(ours.run_twice, 0u);
    EXPECT_LT(of_bound(ours), of_bound(by_random));
  }
}

TEST_P(Quality, TheSameSeedGivesTheSameSchedule) {
  Rng rng(7);
  const Fleet fleet = draw_fleet(GetParam(), rng);
  std::vector<double> work(2'000);
  for (double& one : work) one = bounded_pareto(rng, GetParam().shortest_s, GetParam().shortest_s * GetParam().spread);
  const Schedule first = carry_out(fleet, work, *core_giver(fleet, 7));
  const Schedule second = carry_out(fleet, work, *core_giver(fleet, 7));
  EXPECT_EQ(first.makespan, second.makespan);
  EXPECT_EQ(first.sent, second.sent);
}

INSTANTIATE_TEST_SUITE_P(Lengths, Quality,
                         ::testing::Values(Shape{"seconds", 3.0, 30, 1, 2ms},
                                           Shape{"tenths of a second", 0.1, 30, 1, 2ms},
                                           Shape{"hundredths of a second", 0.03, 30, 1, 2ms},
                                           Shape{"milliseconds", 0.004, 30, 1, 2ms},
                                           Shape{"hundredths, 1 to 4 slots", 0.03, 7, 4, 2ms},
                                           Shape{"seconds, 100 ms away", 1.0, 30, 1, 100ms}));

}  // namespace
}  // namespace retire::sim
