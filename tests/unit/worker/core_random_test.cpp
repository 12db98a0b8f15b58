// Random conversations with a main and hosts that are late, wrong and mortal. Whatever happens: indexes agree, every
// attempt ends, and it ends once.
#include <set>

#include "common/base/rng.hpp"
#include "tests/unit/worker/core_harness.hpp"

namespace retire::worker {
namespace {

struct Working {  // what a pretended host has
  std::vector<Given> todo;
  std::size_t next = 0;
  Sequence running = 0;
};

void run_one(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  const auto slots = static_cast<std::uint32_t>(1 + rng.below(4));
  CoreHarness h(slots);
  h.join();
  std::map<SlotIndex, Working> hosts;
  std::set<std::uint64_t> assigned;
  std::set<std::uint64_t> given_back;
  std::uint64_t next_attempt = 1;
  std::size_t seen_given = 0;
  std::size_t seen_orders = 0;

  const auto settle = [&] {
    while (seen_given < h.given.size() || seen_orders < h.orders.size()) {
      for (; seen_given < h.given.size(); ++seen_given) {
        const Given& one = h.given[seen_given];
        hosts[one.slot].todo.push_back(one);
      }
      if (seen_orders == h.orders.size()) break;
      const Order order = h.orders[seen_orders++];
      Working& host = hosts[order.slot];
      if (order.kind == Order::Kind::Look) h.looked(order.slot, host.running, h.now);
      if (order.kind == Order::Kind::TakeBack) {
        std::vector<Given> taken(host.todo.begin() + static_cast<std::ptrdiff_t>(host.next), host.todo.end());
        if (!taken.empty() && taken.front().sequence == host.running) taken.erase(taken.begin());
        host.todo.resize(host.todo.size() - taken.size());
        h.taken_back(order.slot, host.running, h.now);
        if (rng.below(2) == 0) {
          for (const Given& one : taken) h.skipped(one);
        }
      }
      if (order.kind == Order::Kind::Kill) {
        const Sequence running = host.running;
        host = {};
        h.lost(order.slot, running);
      }
    }
  };

  std::size_t seen_listens = 0;
  std::size_t seen_progress = 0;
  for (int step = 0; step < 400; ++step) {
    for (; seen_listens < h.listens.size(); ++seen_listens) {
      const Order order = h.listens[seen_listens];  // answered late, and for what may have ended
      h.told_live(order.slot, {order.sequence + rng.below(2), 0.5, "x", 0, {}, "c"});
    }
    for (; seen_progress < h.progress.size(); ++seen_progress) {
      ASSERT_TRUE(assigned.contains(h.progress[seen_progress].attempt));
    }
    switch (rng.below(13)) {
      case 0:
      case 1:
      case 2: {
        Attempts batch;
        for (std::uint64_t i = rng.below(20) + 1; i > 0; --i) batch.push_back(next_attempt++);
        if (h.core.joined()) assigned.insert(batch.begin(), batch.end());
        TaskSpecForTest spec;
        spec.type = rng.below(2) == 0 ? "echo" : "sleep";
        spec.priority = static_cast<Priority>(1 + rng.below(4));
        spec.timeout = rng.below(4) == 0 ? Duration(50ms) : Duration(300s);
        spec.at_most_once = rng.below(8) == 0;
        h.assign(batch, spec);
        break;
      }
      case 3: h.stop({1 + rng.below(next_attempt), 1 + rng.below(next_attempt)}); break;
      case 4: {
        h.recall({1 + rng.below(next_attempt), 1 + rng.below(next_attempt)});
        for (const AttemptId id : h.returned.back().attempts.attempts) given_back.insert(id.value());
        break;
      }
      case 5: h.ack_all(); break;
      case 6: h.advance(Duration(static_cast<std::int64_t>(rng.below(100'000)))); break;
      case 7: {
        if (rng.below(4) != 0) break;
        h.error(ErrorCode::HelloRequired);
        h.welcome();
        break;
      }
      case 8: {  // a host dies
        const auto slot = static_cast<SlotIndex>(rng.below(slots));
        Working& host = hosts[slot];
        if (host.next == host.todo.size()) break;
        const Sequence running = host.running;
        host = {};
        h.lost(slot, running);
        break;
      }
      case 9: h.pause(rng.below(3) == 0 ? "hot" : ""); break;
      default: {  // a host works
        const auto slot = static_cast<SlotIndex>(rng.below(slots));
        Working& host = hosts[slot];
        if (host.next == host.todo.size()) break;
        const Given one = host.todo[host.next];
        if (host.running != one.sequence) {
          host.running = one.sequence;
          if (rng.below(3) == 0) break;  // begun, not ended
        }
        ++host.next;
        const Outcome outcome = std::array{Outcome::Success, Outcome::Failed, Outcome::Cancelled}.at(rng.below(3));
        h.answer(one, outcome, Duration(static_cast<std::int64_t>(rng.below(3) == 0 ? 100'000 : 1)));
      }
    }
    h.heartbeat_from_main();
    settle();
  }
  // Now everything works.
  h.pause("");
  for (int i = 0; i < 20'000 && h.core.held() > 0; ++i) {
    settle();
    for (SlotIndex slot = 0; slot < slots; ++slot) {
      Working& host = hosts[slot];
      if (host.next == host.todo.size()) continue;
      const Given one = host.todo[host.next++];
      host.running = one.sequence;
      h.answer(one);
    }
    h.ack_all();
    h.heartbeat_from_main();
    h.advance(25ms);
  }
  EXPECT_EQ(h.core.held(), 0u);
  EXPECT_EQ(h.core.running(), 0u);
  std::multiset<std::uint64_t> ended;
  for (const Told& one : h.told) ended.insert(one.attempt);
  for (const std::uint64_t attempt : assigned) {
    ASSERT_EQ(ended.count(attempt) + given_back.count(attempt), 1u) << "attempt " << attempt;
  }
  EXPECT_EQ(h.frames_held(), 0u);
}

TEST(CoreRandom, EveryAttemptEndsOnce) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    run_one(seed);
    if (testing::Test::HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace retire::worker
