// Real handler processes, with plugins that behave and that do not.
#include "worker/host/host_pool.hpp"

#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>

#include "common/model/limits.hpp"
#include "common/protocol/codec.hpp"
#include "tests/unit/worker/plugin_of.hpp"

namespace retire::host {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using namespace std::chrono_literals;

struct Answer {
  bool skipped = false;
  bool spent = false;
  Outcome outcome = Outcome::Failed;
  std::optional<std::string> data;
  std::string message;
  std::string traceback;
  std::vector<LogLine> logs;
};

std::string packed(std::string_view text) {
  std::string out = "\xd9";
  out.push_back(static_cast<char>(text.size()));
  return out + std::string(text);
}

// The text in a result that is one.
std::string unpacked(const Answer& answer) {
  if (!answer.data || answer.data->empty()) return "";
  const auto tag = static_cast<unsigned char>(answer.data->front());
  if (tag >= 0xa0 && tag <= 0xbf) return answer.data->substr(1);
  if (tag == 0xd9) return answer.data->substr(2);
  return tag == 0xda ? answer.data->substr(3) : answer.data->substr(5);
}

class Pool : public testing::Test, public HostEvents {
 protected:
  static HostPoolConfig config(std::uint32_t slots, std::uint32_t extra) {
    HostPoolConfig out;
    out.program = RC_BINARY_DIR "/libexec/retire-cluster/retire-cluster-handler-host";
    out.slots = slots;
    out.warm_extra = extra;
    return out;
  }
  explicit Pool(std::uint32_t slots = 2, std::uint32_t extra = 2) : Pool(config(slots, extra)) {}
  explicit Pool(const HostPoolConfig& config) : pool(config, *this) {}

  std::uint64_t run(std::uint32_t slot, std::string_view how, Duration timeout = 60s) {
    return run_payload(slot, "torture", "torture", packed(how), timeout);
  }
  std::uint64_t run_payload(std::uint32_t slot, const std::string& plugin, std::string_view handler,
                            const std::string& payload, Duration timeout = 60s) {
    pool.begin(slot, plugin_of(file(plugin)), handler, 1);
    pool.add({++sequence, TaskId(1, sequence), 3, timeout, payload});
    pool.end();
    return sequence;
  }
  std::uint64_t run_many(std::uint32_t slot, const std::vector<std::string>& hows) {
    pool.begin(slot, plugin_of(file("torture")), "torture", hows.size());
    std::vector<std::string> kept;
    for (const std::string& how : hows) {
      kept.push_back(packed(how));
      pool.add({++sequence, TaskId(1, sequence), 1, 60s, kept.back()});
    }
    pool.end();
    return sequence - hows.size() + 1;
  }
  static std::string file(const std::string& plugin) {
    if (plugin == "echo") return RC_BINARY_DIR "/lib/retire-cluster/plugins/echo.so";
    return RC_TEST_PLUGINS "/" + plugin + ".so";
  }

  // Turns the loop until it is so; false when it takes too long.
  bool until(const std::function<bool()>& is_so, Duration at_most = 20s) {
    const auto end = std::chrono::steady_clock::now() + at_most;
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > end) return false;
      pollfd wanted{pool.descriptor(), POLLIN, 0};
      poll(&wanted, 1, pool.pending() ? 0 : 5);
      pool.poll();
      pool.reap();
    }
    return true;
  }
  const Answer& answer(std::uint64_t sequence_of) {
    EXPECT_TRUE(until([&] { return answers.contains(sequence_of) || !losses.empty(); }));
    EXPECT_TRUE(answers.contains(sequence_of)) << (losses.empty() ? "nothing" : losses.back().second.reason);
    return answers[sequence_of];
  }
  Loss loss() {
    EXPECT_TRUE(until([&] { return !losses.empty(); }));
    return losses.empty() ? Loss{} : losses.back().second;
  }

  void on_result(std::uint32_t, const AttemptResult& result) override {
    Answer& one = answers[result.sequence];
    one.skipped = result.skipped;
    one.outcome = result.outcome;
    one.spent = result.spent;
    if (result.data) one.data = std::string(*result.data);
    one.message = result.error_message;
    one.traceback = result.traceback;
    EXPECT_TRUE(protocol::decode_log_lines(result.logs, one.logs).ok());
    order.push_back(result.sequence);
  }
  void on_results_end() override { ++ends; }
  void on_host_lost(std::uint32_t slot, const Loss& lost) override { losses.emplace_back(slot, lost); }

  std::map<std::uint64_t, Answer> answers;
  std::vector<std::uint64_t> order;
  std::vector<std::pair<std::uint32_t, Loss>> losses;
  int ends = 0;
  std::uint64_t sequence = 0;
  HostPool pool;
};

TEST_F(Pool, Runs) {
  const Answer& one = answer(run(0, "ok"));
  EXPECT_EQ(one.outcome, Outcome::Success);
  EXPECT_EQ(unpacked(one), "fine");
  EXPECT_EQ(pool.size(), 1u);
}

TEST_F(Pool, RunsManyInOrder) {
  const std::uint64_t first = run_many(0, std::vector<std::string>(3'000, "ok"));
  answer(first + 2'999);
  ASSERT_EQ(order.size(), 3'000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(Pool, TellsTheHandlerWhatItRuns) {
  EXPECT_EQ(unpacked(answer(run(0, "id"))), TaskId(1, 1).text() + " 3");
  const double left = std::stod(unpacked(answer(run(0, "left", 100s))));
  EXPECT_GT(left, 99);
  EXPECT_LE(left, 100);
}

TEST_F(Pool, FailuresSayWhatTheHandlerSaid) {
  const Answer thrown = answer(run(0, "throw"));
  EXPECT_EQ(thrown.outcome, Outcome::Failed);
  EXPECT_EQ(thrown.message, "thrown");
  EXPECT_THAT(thrown.traceback, HasSubstr("runtime_error"));
  const Answer permanent = answer(run(0, "permanent"));
  EXPECT_EQ(permanent.outcome, Outcome::FailedPermanently);
  EXPECT_EQ(permanent.message, "never");
}

TEST_F(Pool, OddResults) {
  EXPECT_EQ(answer(run_payload(0, "odd_results", "no_result", "\xc0")).data, "\xc0");
  const Answer garbage = answer(run_payload(0, "odd_results", "garbage", "\xc0"));
  EXPECT_EQ(garbage.outcome, Outcome::FailedPermanently);
  EXPECT_THAT(garbage.message, HasSubstr("result claims more values"));
  EXPECT_FALSE(garbage.data);
  EXPECT_THAT(answer(run_payload(0, "odd_results", "speechless", "\xc0")).message, HasSubstr("did not say why"));
  EXPECT_EQ(answer(run_payload(0, "odd_results", "odd_code", "\xc0")).outcome, Outcome::Failed);
  EXPECT_EQ(answer(run_payload(0, "odd_results", "cancels", "\xc0")).outcome, Outcome::Cancelled);
}

TEST_F(Pool, AHandlerThatCannotBeMadeFailsItsAttempts) {
  const Answer one = answer(run_payload(0, "bad_create", "picky", "\xc0"));
  EXPECT_EQ(one.outcome, Outcome::Failed);
  EXPECT_THAT(one.message, HasSubstr("no moon tonight"));
  EXPECT_EQ(answer(run_payload(0, "bad_create", "easy", "\xc0")).outcome, Outcome::Success);
}

TEST_F(Pool, AFileThatIsNoPluginFailsItsAttempts) {
  const std::string text = testing::TempDir() + "no_plugin_at_all.so";
  std::ofstream(text) << "hello";
  pool.begin(0, plugin_of(text), "x", 1);
  pool.add({++sequence, TaskId(1, sequence), 1, 60s, "\xc0"});
  pool.end();
  const Answer one = answer(sequence);
  EXPECT_EQ(one.outcome, Outcome::Failed);
  EXPECT_THAT(one.message, HasSubstr("no_plugin_at_all.so"));
}

TEST_F(Pool, LargeResultsComeWhole) {
  const Answer middle = answer(run(0, "middle"));
  EXPECT_EQ(unpacked(middle), std::string(std::size_t{300} << 10, 'm'));
  const Answer large = answer(run(0, "large"));
  EXPECT_EQ(large.outcome, Outcome::Success);
  EXPECT_EQ(large.data->size(), (std::size_t{15} << 20) + 5);
}

TEST_F(Pool, AResultOverTheLimitIsRefusedNamingIt) {
  const Answer huge = answer(run(0, "huge"));
  EXPECT_EQ(huge.outcome, Outcome::FailedPermanently);
  EXPECT_THAT(huge.message, HasSubstr(std::to_string(kResultBytesMax)));
  EXPECT_EQ(unpacked(answer(run(0, "ok"))), "fine");
}

TEST_F(Pool, LargePayloadsArriveWhole) {
  std::string payload = "\xc6";
  const std::size_t size = std::size_t{15} << 20;
  for (int shift = 24; shift >= 0; shift -= 8) payload.push_back(static_cast<char>((size >> shift) & 0xff));
  payload.append(size, 'p');
  const Answer one = answer(run_payload(0, "echo", "echo", payload));
  ASSERT_EQ(one.outcome, Outcome::Success) << one.message;
  EXPECT_EQ(one.data->substr(6), payload);
}

TEST_F(Pool, LogsAreBoundedAndClean) {
  const Answer many = answer(run(0, "logs"));
  EXPECT_EQ(many.logs.size(), kLogLinesMax);
  EXPECT_EQ(many.logs.front().text, "line 0");
  EXPECT_THAT(many.logs.back().text, HasSubstr("dropped"));
  EXPECT_LE(answer(run(0, "longlogs")).logs.size(), 130u);
  const Answer bad = answer(run(0, "badlog"));
  ASSERT_EQ(bad.logs.size(), 1u);
  EXPECT_EQ(bad.logs[0].text, "not ? utf-8 ?");
  EXPECT_EQ(bad.message, "bad ? text");
  EXPECT_EQ(answer(run(0, "threads")).logs.size(), 1u);
  EXPECT_TRUE(answer(run(0, "ok")).logs.empty());
}

struct Death {
  const char* how;
  const char* reason;
};
class PoolDeaths : public Pool, public testing::WithParamInterface<Death> {};

TEST_P(PoolDeaths, AreToldAndBlamed) {
  const std::uint64_t first = run_many(0, {"ok", "ok", GetParam().how, "ok"});
  const Loss lost = loss();
  EXPECT_THAT(lost.reason, HasSubstr(GetParam().reason));
  EXPECT_EQ(lost.running, first + 2);
  // What had ended before was not lost with it, though the host had not said so yet.
  EXPECT_EQ(answers[first].outcome, Outcome::Success);
  EXPECT_EQ(answers[first + 1].outcome, Outcome::Success);
  EXPECT_FALSE(answers.contains(first + 3));
  // The next one is as good as ever.
  losses.clear();
  EXPECT_EQ(unpacked(answer(run(0, "ok"))), "fine");
}

INSTANTIATE_TEST_SUITE_P(Ways, PoolDeaths,
                         testing::Values(Death{"segfault", "signal 11 (SIGSEGV)"}, Death{"abort", "signal 6 (SIGABRT)"},
                                         Death{"exit0", "exit status 0"}, Death{"exit3", "exit status 3"},
                                         Death{"flood", "exit status 9"}, Death{"orphan", "exit status 4"}),
                         [](const auto& death) { return std::string(death.param.how); });

TEST_F(Pool, LastLinesOfOutputAreKept) {
  run(0, "segfault");
  EXPECT_THAT(loss().output, HasSubstr("about to fall\nnow"));
  losses.clear();
  run(0, "flood");
  const Loss flooded = loss();
  EXPECT_TRUE(flooded.output.ends_with("the last line")) << flooded.output.size();
  EXPECT_LE(flooded.output.size(), 4096u);
}

TEST_F(Pool, OutputDoesNotStopAnAttempt) { EXPECT_EQ(unpacked(answer(run(0, "noisy"))), "quiet again"); }

TEST_F(Pool, OtherSlotsGoOnWhenOneDies) {
  const std::uint64_t waiting = run(1, "wait");
  run(0, "segfault");
  loss();
  ASSERT_EQ(losses.size(), 1u);
  EXPECT_EQ(losses[0].first, 0u);
  pool.cancel(1, waiting);
  losses.clear();
  EXPECT_EQ(answer(waiting).outcome, Outcome::Cancelled);
}

TEST_F(Pool, CancelWakesAWaitAtOnce) {
  const std::uint64_t one = run(0, "wait");
  ASSERT_TRUE(until([&] { return pool.look(0).running == one; }));
  const auto begin = std::chrono::steady_clock::now();
  pool.cancel(0, one);
  EXPECT_EQ(answer(one).outcome, Outcome::Cancelled);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 5s);
}

TEST_F(Pool, ACancelMeantForAnotherChangesNothing) {
  pool.begin(0, plugin_of(file("torture")), "torture", 0);  // starts the host
  pool.end();
  pool.cancel(0, 999);
  EXPECT_EQ(unpacked(answer(run(0, "ok"))), "fine");
}

TEST_F(Pool, AWaitEndsAtTheDeadlineWithoutBeingAsked) {
  EXPECT_EQ(answer(run(0, "wait", 100ms)).outcome, Outcome::Cancelled);
}

// A copy of a plugin's file is another plugin, as a replaced one is.
PluginPtr copy_of(const PluginPtr& plugin) {
  Result<PluginImage> image = PluginImage::read(plugin->image.file());
  EXPECT_TRUE(image.ok());
  return std::make_shared<const Plugin>(Plugin{std::move(image).value(), {}});
}

TEST_F(Pool, AReplacedPluginRunsInANewHostAndTheOldOneEndsWithWhatItRuns) {
  const PluginPtr old = plugin_of(file("torture"));
  const std::uint64_t slow = run(0, "wait");
  ASSERT_TRUE(until([&] { return pool.look(0).running == slow; }));
  const pid_t old_host = pool.pid_of(0);
  pool.renew({});
  EXPECT_EQ(pool.size(), 1u) << "it is at work";
  const std::string payload = packed("ok");
  pool.begin(1, copy_of(old), "torture", 1);
  pool.add({++sequence, TaskId(1, sequence), 1, 60s, payload});
  pool.end();
  const std::uint64_t quick = sequence;
  EXPECT_EQ(unpacked(answer(quick)), "fine");
  EXPECT_NE(pool.pid_of(1), old_host);
  pool.cancel(0, slow);
  EXPECT_EQ(answer(slow).outcome, Outcome::Cancelled);
  EXPECT_TRUE(until([&] { return pool.size() == 1; })) << "the old one is given nothing more";
  EXPECT_NE(kill(old_host, 0), 0);
}

TEST_F(Pool, WithNewTermsIdleHostsEnd) {
  answer(run(0, "ok"));
  answer(run_payload(1, "echo", "echo", packed("x")));
  EXPECT_EQ(pool.size(), 2u);
  pool.renew({});
  EXPECT_TRUE(until([&] { return pool.size() == 0; }));
  EXPECT_EQ(unpacked(answer(run(0, "ok"))), "fine");
}

TEST_F(Pool, AHostRunsTheBytesThatWereReadWhateverBecameOfTheFile) {
  const std::string copy = testing::TempDir() + "changing.so";
  std::filesystem::copy_file(file("torture"), copy, std::filesystem::copy_options::overwrite_existing);
  const PluginPtr plugin = plugin_of(copy);
  std::ofstream(copy) << "no plugin any more";
  const std::string payload = packed("ok");
  pool.begin(0, plugin, "torture", 1);
  pool.add({++sequence, TaskId(1, sequence), 1, 60s, payload});
  pool.end();
  EXPECT_EQ(unpacked(answer(sequence)), "fine");
}

TEST_F(Pool, AHangIsKilled) {
  const std::uint64_t one = run(0, "hang");
  ASSERT_TRUE(until([&] { return pool.look(0).running == one; }));
  EXPECT_GT(pool.look(0).started, TimePoint{});
  pool.cancel(0, one);
  pool.kill(0);
  EXPECT_THAT(loss().reason, HasSubstr("SIGKILL"));
}

// As one that the kernel ends when memory is short: not to be told as if the worker had done it.
TEST_F(Pool, AHostThatOthersKillWasNotKilledByTheWorker) {
  for (int i = 0; i < 20; ++i) {
    run(0, "sigkill");
    ASSERT_THAT(loss().reason,
                StartsWith("handler process died: signal 9 (SIGKILL), which may have been the kernel, out of memory"));
    losses.clear();
  }
}

TEST_F(Pool, TakeBackLeavesWhatRunsAndSkipsTheRest) {
  const std::uint64_t first = run_many(0, {"ok", "wait", "ok", "ok"});
  ASSERT_TRUE(until([&] { return pool.look(0).running == first + 1; }));
  const HostPool::Seen seen = pool.take_back(0);
  EXPECT_EQ(seen.running, first + 1);
  EXPECT_TRUE(answers.contains(first));  // given, though the host is busy with the next
  pool.cancel(0, first + 1);
  EXPECT_EQ(answer(first + 3).skipped, true);
  EXPECT_EQ(answers[first + 2].skipped, true);
  EXPECT_EQ(answers[first + 1].outcome, Outcome::Cancelled);
  EXPECT_FALSE(answer(run(0, "ok")).skipped);  // what is handed over later is run
}

TEST_F(Pool, TakeBackWhileTheHostIsStillStartingTakesAll) {
  const std::uint64_t first = run_many(0, {"ok", "ok"});
  const HostPool::Seen seen = pool.take_back(0);
  EXPECT_LE(seen.running, first);
  if (seen.running == 0) {
    EXPECT_TRUE(answer(first).skipped);
    EXPECT_TRUE(answer(first + 1).skipped);
  }
}

TEST_F(Pool, HostsAreKeptWarmForTheirPlugin) {
  const std::string pid = unpacked(answer(run(0, "pid")));
  EXPECT_EQ(unpacked(answer(run(0, "pid"))), pid);
  answer(run_payload(0, "echo", "echo", "\xc0"));  // another plugin, another host
  EXPECT_EQ(pool.size(), 2u);
  EXPECT_EQ(unpacked(answer(run(0, "pid"))), pid);  // still there
  EXPECT_EQ(unpacked(answer(run(1, "pid"))), pid);  // and for any slot
  EXPECT_EQ(pool.started(), 2u);
}

class SmallPool : public Pool {
 protected:
  SmallPool() : Pool(1, 1) {}
};

TEST_F(SmallPool, EndsTheOneIdleTheLongest) {
  answer(run_payload(0, "odd_results", "no_result", "\xc0"));
  answer(run(0, "ok"));
  answer(run_payload(0, "echo", "echo", "\xc0"));
  EXPECT_TRUE(until([&] { return pool.size() == 2; }));
  EXPECT_EQ(pool.started(), 3u);
  answer(run(0, "ok"));
  EXPECT_EQ(pool.started(), 3u);  // the one in the middle was kept
  EXPECT_TRUE(losses.empty());
}

class ShortLived : public Pool {
 protected:
  static constexpr std::size_t kAttempts = 5;
  ShortLived() : Pool(few()) {}
  static HostPoolConfig few() {
    HostPoolConfig out = config(1, 1);
    out.attempts_per_host = kAttempts;
    return out;
  }
};

TEST_F(ShortLived, AHostIsReplacedWhenItHasHadItsShareOfAttempts) {
  std::map<std::string, int> attempts;  // by process
  for (int i = 0; i < 23; ++i) ++attempts[unpacked(answer(run(0, "pid")))];
  EXPECT_EQ(attempts.size(), 5u);
  EXPECT_EQ(pool.started(), 5u);
  for (const auto& [pid, count] : attempts) EXPECT_LE(count, 5) << pid;
  EXPECT_TRUE(answers[5].spent);
  EXPECT_FALSE(answers[6].spent);
  EXPECT_TRUE(losses.empty());
  EXPECT_TRUE(until([&] { return pool.size() == 1; })) << "those that were replaced are gone";
}

TEST_F(ShortLived, WhatItWasGivenBeyondThatIsRunAllTheSame) {
  const std::uint64_t first = run_many(0, std::vector<std::string>(12, "pid"));
  answer(first + 11);
  ASSERT_EQ(order.size(), 12u);
  const std::uint64_t next = run(0, "pid");
  EXPECT_NE(unpacked(answer(next)), unpacked(answers[first])) << "a new one";
  for (std::uint64_t i = first; i <= next; ++i) EXPECT_EQ(answers[i].outcome, Outcome::Success);
  EXPECT_TRUE(losses.empty());
}

TEST_F(Pool, AnIdleHostThatIsKilledCostsNothing) {
  answer(run(0, "ok"));
  kill(pool.pid_of(0), SIGKILL);
  ASSERT_TRUE(until([&] { return pool.size() == 0; }));
  EXPECT_TRUE(losses.empty());
  EXPECT_EQ(unpacked(answer(run(0, "ok"))), "fine");
}

TEST_F(Pool, NothingLeaksIntoAHost) {
  setenv("RETIRE_CLUSTER_TOKEN", "secret", 1);
  EXPECT_EQ(unpacked(answer(run(0, "env"))), "clean");
  EXPECT_EQ(unpacked(answer(run(0, "fds"))), "0,1,2,3,4");  // its output, its socket, its scratch directory
  EXPECT_EQ(unpacked(answer(run(0, "session"))), "own");
}

TEST_F(Pool, WhatAHostLeavesInItsGroupGoesWithIt) {
  run(0, "orphan");
  ASSERT_TRUE(until([&] { return pool.pid_of(0) > 0; }));
  const pid_t group = pool.pid_of(0);
  loss();
  EXPECT_TRUE(until([&] { return kill(-group, 0) != 0; }));
}

TEST(PoolStart, AHostProgramThatIsMissingIsALoss) {
  struct Events : HostEvents {
    std::vector<Loss> losses;
    void on_result(std::uint32_t, const AttemptResult&) override {}
    void on_results_end() override {}
    void on_host_lost(std::uint32_t, const Loss& loss) override { losses.push_back(loss); }
  } events;
  HostPoolConfig config;
  config.program = "/nonexistent/host";
  HostPool pool(config, events);
  pool.begin(0, plugin_of(RC_TEST_PLUGINS "/torture.so"), "x", 1);
  pool.add({1, TaskId(), 1, 1s, "\xc0"});
  pool.end();
  EXPECT_TRUE(pool.pending());
  pool.poll();
  ASSERT_EQ(events.losses.size(), 1u);
  EXPECT_THAT(events.losses[0].reason, HasSubstr("/nonexistent/host"));
}

TEST(PoolEnd, HostsEndWithTheirPool) {
  struct Events : HostEvents {
    void on_result(std::uint32_t, const AttemptResult&) override {}
    void on_results_end() override {}
    void on_host_lost(std::uint32_t, const Loss&) override {}
  } events;
  pid_t pid = 0;
  {
    HostPoolConfig config;
    config.program = RC_BINARY_DIR "/libexec/retire-cluster/retire-cluster-handler-host";
    HostPool pool(config, events);
    const std::string payload = packed("hang");
    pool.begin(0, plugin_of(RC_TEST_PLUGINS "/torture.so"), "torture", 1);
    pool.add({1, TaskId(), 1, 60s, payload});
    pool.end();
    pid = pool.pid_of(0);
    ASSERT_GT(pid, 0);
  }
  EXPECT_NE(kill(pid, 0), 0);
}

}  // namespace
}  // namespace retire::host
