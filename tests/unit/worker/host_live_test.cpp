// What handlers tell through their context, from real handler processes.
#include <gmock/gmock.h>
#include <poll.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "common/model/limits.hpp"
#include "common/protocol/codec.hpp"
#include "tests/unit/worker/plugin_of.hpp"
#include "worker/host/host_pool.hpp"

namespace retire::host {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

struct Answer {
  Outcome outcome = Outcome::Failed;
  Json data;
  std::string message;
  std::vector<LogLine> logs;
  std::string checkpoint;
};

std::string packed(const Json& value) {
  const std::vector<std::uint8_t> bytes = Json::to_msgpack(value);
  return {bytes.begin(), bytes.end()};
}

class HostLive : public testing::Test, public HostEvents {
 protected:
  // Where hosts make scratch directories.
  static std::string make_directory() {
    std::string name = (fs::temp_directory_path() / "rc-host-live-XXXXXX").string();
    return mkdtemp(name.data());
  }
  static HostPoolConfig config(const std::string& temporary) {
    HostPoolConfig out;
    out.program = RC_BINARY_DIR "/libexec/retire-cluster/retire-cluster-handler-host";
    out.slots = out.warm_extra = 2;
    sandbox::SeatsConfig seats;
    seats.temporary = temporary;
    out.seats = sandbox::Seats::make(seats);
    return out;
  }
  HostLive() : directory(make_directory()), pool(config(directory), *this) {}
  ~HostLive() override { fs::remove_all(directory); }

  std::uint64_t run(const Json& steps, std::uint32_t number = 1, const std::string& checkpoint = "") {
    return run_many({steps}, number, checkpoint);
  }
  // Returns the sequence of the last.
  std::uint64_t run_many(const std::vector<Json>& all, std::uint32_t number = 1, const std::string& checkpoint = "") {
    pool.begin(0, plugin_of(RC_TEST_PLUGINS "/telling.so"), "telling", all.size());
    for (const Json& steps : all) {
      const std::string payload = packed(steps);
      pool.add({++sequence, TaskId(1, sequence), number, 60s, payload, checkpoint});
    }
    pool.end();
    return sequence;
  }
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
  const Answer& answer(std::uint64_t wanted) {
    EXPECT_TRUE(until([&] { return answers.contains(wanted) || !losses.empty(); }));
    EXPECT_TRUE(answers.contains(wanted)) << (losses.empty() ? "nothing" : losses.back().reason);
    return answers[wanted];
  }
  // Listens until it is so; what was told is gathered.
  bool hear(std::uint64_t wanted, const std::function<bool()>& is_so) {
    return until([&] {
      if (const AttemptTold* told = pool.listen(0, wanted, false)) {
        if (told->fraction) fraction = *told->fraction;
        if (!told->text.empty()) text = told->text;
        if (!told->checkpoint.empty()) checkpoint_told = told->checkpoint;
        std::vector<LogLine> more;
        EXPECT_TRUE(protocol::decode_log_lines(told->logs, more).ok());
        lines.insert(lines.end(), more.begin(), more.end());
      }
      return is_so();
    });
  }
  std::string path(const std::string& name) const { return directory + "/" + name; }
  void make(const std::string& name) const { std::ofstream(path(name)) << "go"; }
  // Files of this name in scratch directories.
  std::vector<fs::path> found(const std::string& name) const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (entry.path().filename() == name) out.push_back(entry.path());
    }
    return out;
  }

  void on_result(std::uint32_t, const AttemptResult& result) override {
    Answer& one = answers[result.sequence];
    one.outcome = result.outcome;
    if (result.data) one.data = Json::from_msgpack(result.data->begin(), result.data->end());
    one.message = result.error_message;
    one.checkpoint = result.checkpoint;
    EXPECT_TRUE(protocol::decode_log_lines(result.logs, one.logs).ok());
  }
  void on_results_end() override {}
  void on_host_lost(std::uint32_t, const Loss& lost) override { losses.push_back(lost); }

  std::map<std::uint64_t, Answer> answers;
  std::vector<Loss> losses;
  std::uint64_t sequence = 0;
  double fraction = -1;
  std::string text;
  std::string checkpoint_told;
  std::vector<LogLine> lines;
  const std::string directory;
  HostPool pool;
};

TEST_F(HostLive, ARunningAttemptIsHeard) {
  const std::uint64_t run_of = run({{{"log", "begun"}},
                                    {{"wait_for", path("one")}},
                                    {{"progress", 0.5}, {"text", "half"}},
                                    {{"thread", "other"}},
                                    {{"checkpoint", "saved"}},
                                    {{"wait_for", path("two")}},
                                    {{"log", "end"}}});
  ASSERT_TRUE(hear(run_of, [&] { return lines.size() == 1; }));
  EXPECT_EQ(lines[0].text, "begun");
  EXPECT_EQ(fraction, -1);
  make("one");
  ASSERT_TRUE(hear(run_of, [&] { return checkpoint_told == "saved" && lines.size() == 2; }));
  EXPECT_EQ(fraction, 0.5);
  EXPECT_EQ(text, "half");
  EXPECT_EQ(lines[1].text, "other");
  make("two");
  const Answer& one = answer(run_of);
  EXPECT_EQ(one.outcome, Outcome::Success);
  EXPECT_EQ(one.checkpoint, "") << "nobody goes on from a success";
  ASSERT_EQ(one.logs.size(), 3u) << "the log of the result is whole";
  EXPECT_EQ(one.logs[2].text, "end");
}

TEST_F(HostLive, AFailureLeavesItsLatestCheckpoint) {
  const Answer& one = answer(run({{{"checkpoint", "first"}}, {{"checkpoint", "second"}}, {{"fail", "no"}}}));
  EXPECT_EQ(one.outcome, Outcome::Failed);
  EXPECT_EQ(one.checkpoint, "second");
  const Answer& large = answer(run({{{"checkpoint_bytes", kCheckpointBytesMax}}, {{"fail", "no"}}}));
  EXPECT_EQ(large.checkpoint, std::string(kCheckpointBytesMax, 'c'));
}

TEST_F(HostLive, ATooLargeCheckpointIsRefusedAndTheOneBeforeStays) {
  const Answer& one = answer(run({{{"checkpoint", "small"}}, {{"checkpoint_bytes", kCheckpointBytesMax + 1}}}));
  EXPECT_EQ(one.outcome, Outcome::FailedPermanently);
  EXPECT_THAT(one.message, HasSubstr("1048577 bytes, over the limit of 1048576"));
  EXPECT_EQ(one.checkpoint, "small");
}

TEST_F(HostLive, AnAttemptIsHandedWhatAnEarlierOneSaved) {
  const Answer& one = answer(run(Json::array(), 2, "from before"));
  EXPECT_EQ(one.data["checkpoint"], "from before");
  EXPECT_EQ(one.data["attempt"], "2");
  EXPECT_EQ(one.data["key"], TaskId(1, 1).text());
  const std::string large(kCheckpointBytesMax, 'l');
  EXPECT_EQ(answer(run(Json::array(), 2, large)).data["checkpoint"], large);
}

// Several attempts in one message to one host: each has its own of everything.
TEST_F(HostLive, NothingGoesFromOneAttemptToTheNext) {
  const Json says_all = {{{"log", "secret"}}, {{"progress", 0.9}}, {{"checkpoint", "secret"}}, {{"scratch", "secret"}}};
  const std::uint64_t last = run_many({says_all, {{{"fail", "nothing to say"}}}, {{{"scratch", "mine"}}}});
  answer(last);
  EXPECT_EQ(answers[last - 2].logs.size(), 1u);
  EXPECT_EQ(answers[last - 1].checkpoint, "");
  EXPECT_TRUE(answers[last - 1].logs.empty());
  EXPECT_EQ(answers[last - 1].outcome, Outcome::Failed);
  EXPECT_NE(answers[last].data["scratch"], answers[last - 2].data["scratch"]);
  EXPECT_TRUE(found("secret").empty());
  EXPECT_TRUE(found("mine").empty());
  const std::uint64_t next = run({{{"wait_for", path("go")}}});
  ASSERT_TRUE(until([&] { return pool.look(0).running == next; }));
  EXPECT_EQ(pool.listen(0, next, true), nullptr);
  EXPECT_EQ(pool.listen(0, last, true), nullptr);
  make("go");
  EXPECT_EQ(answer(next).data["checkpoint"], "");
}

TEST_F(HostLive, AScratchDirectoryIsPrivateAndGoesWithItsAttempt) {
  const std::uint64_t run_of = run({{{"scratch", "file"}}, {{"log", "made"}}, {{"wait_for", path("go")}}});
  ASSERT_TRUE(hear(run_of, [&] { return lines.size() == 1; }));
  ASSERT_EQ(found("file").size(), 1u);
  EXPECT_EQ(fs::status(found("file")[0].parent_path()).permissions(), fs::perms::owner_all);
  make("go");
  EXPECT_EQ(answer(run_of).data["same"], "yes");
  EXPECT_TRUE(found("file").empty());
}

TEST_F(HostLive, ACrashLeavesItsLogAndItsCheckpoint) {
  run({{{"log", "going"}}, {{"checkpoint", "survives"}}, {{"log", "to fall"}}, {{"crash", true}}});
  ASSERT_TRUE(until([&] { return !losses.empty(); }));
  const Loss& loss = losses.back();
  EXPECT_THAT(loss.reason, HasSubstr("SIGABRT"));
  EXPECT_EQ(loss.checkpoint, "survives");
  std::vector<LogLine> logged;
  ASSERT_TRUE(protocol::decode_log_lines(loss.logs, logged).ok());
  ASSERT_EQ(logged.size(), 2u);
  EXPECT_EQ(logged[1].text, "to fall");
}

TEST_F(HostLive, ACrashAfterAnotherAttemptLeavesNothingOfThatOne) {
  run_many({{{{"log", "theirs"}}, {{"checkpoint", "theirs"}}}, {{{"crash", true}}}});
  ASSERT_TRUE(until([&] { return !losses.empty(); }));
  EXPECT_EQ(losses.back().running, sequence);
  EXPECT_EQ(losses.back().checkpoint, "");
  EXPECT_EQ(losses.back().logs, "");
}

TEST_F(HostLive, AFloodIsBoundedAndItsHostServesTheNext) {
  const std::uint64_t run_of = run({{{"log", "flood"}, {"count", 200'000}}, {{"wait_for", path("go")}}});
  std::size_t heard = 0;
  ASSERT_TRUE(hear(run_of, [&] {
    heard += lines.size();
    lines.clear();
    return fs::exists(path("go")) || (heard > 0 && pool.look(0).running == run_of && (make("go"), true));
  }));
  EXPECT_LE(heard, kLogLinesMax);
  const Answer& one = answer(run_of);
  EXPECT_EQ(one.logs.size(), kLogLinesMax);
  EXPECT_EQ(answer(run(Json::array())).outcome, Outcome::Success);
}

}  // namespace
}  // namespace retire::host
