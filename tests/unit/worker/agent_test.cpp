// The whole program, as a process, with a main that the test plays over a real socket.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "common/net/socket.hpp"
#include "common/protocol/codec.hpp"

namespace retire::worker {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

struct Result1 {
  Outcome outcome = Outcome::Failed;
  std::string message;
  std::string data;
};

// Keeps what a worker says, and answers only what the test wants answered.
class FakeMain {
 public:
  explicit FakeMain(std::uint16_t port = 0)
      : router(std::move(net::Router::bind(context, {"127.0.0.1", port}, {})).value()) {}

  std::uint16_t port() const { return router.address().port; }

  bool until(const std::function<bool()>& is_so, Duration at_most = 20s) {
    const auto end = std::chrono::steady_clock::now() + at_most;
    while (!is_so()) {
      if (std::chrono::steady_clock::now() > end) return false;
      net::Poller poller;
      poller.add(router);
      poller.wait(5ms);
      std::string from;
      net::Frame frame;
      while (router.receive(from, frame) == net::Received::Message) on_message(from, frame.bytes());
    }
    return true;
  }
  void send(std::string frame) { router.send(peer, std::move(frame)); }

  void assign(const std::vector<std::uint64_t>& attempts, std::string_view type, std::string_view payload,
              Duration timeout = 60s) {
    protocol::AssignBatch batch;
    batch.add_spec({type, timeout, Priority::Normal, false});
    for (const std::uint64_t attempt : attempts) batch.add({TaskId(1, attempt), AttemptId(attempt), 0, payload, 1});
    send(batch.take(++assigns));
  }
  void say(MessageType type, const std::vector<std::uint64_t>& attempts, std::uint64_t correlation = 0) {
    std::vector<AttemptId> ids;
    for (const std::uint64_t attempt : attempts) ids.emplace_back(attempt);
    std::string frame;
    protocol::encode_attempts(frame, type, correlation, ids);
    send(std::move(frame));
  }
  void error(ErrorCode code) {
    std::string frame;
    protocol::encode(frame, 0, ErrorReply{code, "from the test", {}, "", {}});
    send(std::move(frame));
  }

  bool welcomes = true;
  bool acknowledges = true;
  bool answers_heartbeats = true;
  bool knows_nobody = false;  // says hello_required to everything but hello
  Duration heartbeat = 100ms;
  Duration offline_after = 1s;

  std::vector<Hello> hellos;
  std::map<std::uint64_t, Result1> results;
  std::multiset<std::uint64_t> deliveries;
  std::set<std::uint64_t> started;
  std::vector<AttemptIds> returned;
  std::vector<Heartbeat> heartbeats;
  int drains = 0;
  int goodbyes = 0;
  std::string peer;

 private:
  void on_message(const std::string& from, ByteView frame) {
    std::uint64_t correlation = 0;
    const auto envelope = protocol::decode_envelope(frame, correlation);
    ASSERT_TRUE(envelope.ok()) << envelope.error().detail;
    const ByteView body = envelope.value().body;
    const MessageType type = envelope.value().type;
    peer = from;
    if (knows_nobody && type != MessageType::Hello) return error(ErrorCode::HelloRequired);
    switch (type) {
      case MessageType::Hello: {
        ASSERT_TRUE(protocol::decode(body, hellos.emplace_back()).ok());
        if (!welcomes) return;
        knows_nobody = false;
        assigns = 0;
        Welcome welcome;
        welcome.program = "fake";
        welcome.heartbeat = heartbeat;
        welcome.offline_after = offline_after;
        std::string out;
        protocol::encode(out, correlation, welcome);
        send(std::move(out));
        break;
      }
      case MessageType::Finished: {
        Finished finished;
        ASSERT_TRUE(protocol::decode(body, finished).ok());
        for (const FinishedItem& item : finished.results) {
          results[item.attempt.value()] = {item.outcome, std::string(item.error_message),
                                           std::string(item.data.value_or(""))};
          deliveries.insert(item.attempt.value());
        }
        if (!acknowledges) return;
        std::string out;
        protocol::encode_empty(out, MessageType::Ack, correlation);
        send(std::move(out));
        break;
      }
      case MessageType::Heartbeat: {
        ASSERT_TRUE(protocol::decode(body, heartbeats.emplace_back()).ok());
        if (!answers_heartbeats) return;
        std::string out;
        protocol::encode(out, correlation, Heartbeat{});
        send(std::move(out));
        break;
      }
      case MessageType::Started: {
        AttemptIds ids;
        ASSERT_TRUE(protocol::decode_attempts(body, ids).ok());
        for (const AttemptId id : ids.attempts) started.insert(id.value());
        break;
      }
      case MessageType::Progress: {
        Progress progress;
        ASSERT_TRUE(protocol::decode(body, progress).ok());
        break;
      }
      case MessageType::Returned: ASSERT_TRUE(protocol::decode_attempts(body, returned.emplace_back()).ok()); break;
      case MessageType::Drain: ++drains; break;
      case MessageType::Goodbye: ++goodbyes; break;
      default: FAIL() << "a worker sent " << to_string(type);
    }
  }

  net::Context context;
  net::Router router;
  std::uint64_t assigns = 0;
};

// A worker process with its output in a file.
class WorkerProcess {
 public:
  WorkerProcess(std::vector<std::string> arguments, const fs::path& log) : log_(log) {
    arguments.insert(arguments.begin(), RC_BINARY_DIR "/bin/retire-cluster-worker");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    EXPECT_EQ(posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
  }
  ~WorkerProcess() {
    if (!status_) {
      ::kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  void signal(int number) const { ::kill(pid_, number); }
  bool ended() {
    int status = 0;
    if (!status_ && waitpid(pid_, &status, WNOHANG) == pid_) status_ = status;
    return status_.has_value();
  }
  int exit_status() const { return status_ && WIFEXITED(*status_) ? WEXITSTATUS(*status_) : -1; }
  std::string log() const {
    std::ostringstream text;
    text << std::ifstream(log_).rdbuf();
    return text.str();
  }

 private:
  pid_t pid_ = -1;
  fs::path log_;
  std::optional<int> status_;
};

class Agent : public testing::Test {
 protected:
  Agent() {
    std::string name = testing::TempDir() + "agent-XXXXXX";
    directory = mkdtemp(name.data());
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    setenv("RETIRE_CLUSTER_HANDLER_MEMORY_GB", "1000000", 1);  // a sanitizer's shadow is private memory of a host too
#endif
  }
  ~Agent() override {
    if (HasFailure() && worker) std::cerr << worker->log();
    worker.reset();
    fs::remove_all(directory);
  }
  void start(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"--join",       "127.0.0.1:" + std::to_string(main.port()),
                                       "--data-dir",   directory / "data",
                                       "--plugin-dir", RC_TEST_PLUGINS,
                                       "--slots",      "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    worker.emplace(arguments, directory / "log");
  }
  void join(std::vector<std::string> more = {}) {
    start(std::move(more));
    ASSERT_TRUE(main.until([&] { return !main.hellos.empty(); }));
  }
  static std::string text(std::string_view how) {
    return std::string(1, static_cast<char>(0xa0 + how.size())) + std::string(how);
  }
  // Ended: not there, or only still to be waited for by whoever inherited it.
  static bool gone(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    return !std::getline(stat, line) || line.find(") Z ") != std::string::npos;
  }
  bool has(std::uint64_t attempt) const { return main.results.contains(attempt); }

  fs::path directory;
  FakeMain main;
  std::optional<WorkerProcess> worker;
};

TEST_F(Agent, JoinsAsWhatItIs) {
  join({"--tag", "blue", "--cpu-count", "7", "--memory-gb", "1.5", "--no-internet", "--gpu", "--role", "storage"});
  const Capabilities& device = *main.hellos[0].device;
  EXPECT_EQ(device.slots, 2u);
  EXPECT_EQ(device.cpu_count, 7u);
  EXPECT_DOUBLE_EQ(device.memory_total_gb, 1.5);
  EXPECT_TRUE(device.has_gpu);
  EXPECT_FALSE(device.has_internet);
  EXPECT_EQ(device.role, "storage");
  EXPECT_THAT(device.tags, Contains("blue"));
  EXPECT_THAT(device.handlers, Contains("echo"));
  EXPECT_THAT(device.handlers, Contains("torture"));
  EXPECT_THAT(device.handlers, Not(Contains("cancels")));
  EXPECT_THAT(device.refused_plugins, Contains(HasSubstr("dies_at_load.so")));
  EXPECT_THAT(worker->log(), HasSubstr("not encrypted"));
}

TEST_F(Agent, KeepsItsDeviceId) {
  join();
  const std::string id = main.hellos[0].device->device_id;
  worker->signal(SIGTERM);
  ASSERT_TRUE(main.until([&] { return worker->ended(); }));
  start();
  ASSERT_TRUE(main.until([&] { return main.hellos.size() > 1; }));
  EXPECT_EQ(main.hellos[1].device->device_id, id);
}

TEST_F(Agent, RunsTasks) {
  join();
  main.assign({1, 2, 3}, "echo", text("hi"));
  ASSERT_TRUE(main.until([&] { return main.results.size() == 3; }));
  EXPECT_EQ(main.results[2].outcome, Outcome::Success);
  EXPECT_EQ(main.results[2].data,
            "\x81\xa4"
            "echo" +
                text("hi"));
}

TEST_F(Agent, RunsManyTasks) {
  join();
  std::vector<std::uint64_t> attempts;
  for (std::uint64_t i = 1; i <= 5'000; ++i) attempts.push_back(i);
  main.assign(attempts, "echo", text("hi"));
  ASSERT_TRUE(main.until([&] { return main.results.size() == 5'000; }));
  EXPECT_EQ(main.deliveries.size(), 5'000u);
  for (const auto& [attempt, result] : main.results) ASSERT_EQ(result.outcome, Outcome::Success) << attempt;
}

TEST_F(Agent, ACrashCostsOneAttempt) {
  join();
  main.assign({1}, "torture", text("segfault"));
  main.assign({2, 3}, "torture", text("ok"));
  ASSERT_TRUE(main.until([&] { return main.results.size() == 3; }));
  EXPECT_EQ(main.results[1].outcome, Outcome::Crashed);
  EXPECT_THAT(main.results[1].message, testing::StartsWith("handler process died: signal 11 (SIGSEGV); peak memory "));
  EXPECT_EQ(main.results[2].outcome, Outcome::Success);
  EXPECT_EQ(main.results[3].outcome, Outcome::Success);
}

TEST_F(Agent, TimeoutOfOneThatListensAndOneThatDoesNot) {
  join();
  main.assign({1}, "torture", text("wait"), 300ms);
  main.assign({2}, "torture", text("hang"), 300ms);
  ASSERT_TRUE(main.until([&] { return main.results.size() == 2; }));
  EXPECT_EQ(main.results[1].outcome, Outcome::Timeout);
  EXPECT_EQ(main.results[2].outcome, Outcome::Timeout);
  EXPECT_THAT(main.results[2].message, HasSubstr("timeout_seconds 0.3"));
  EXPECT_EQ(main.started, (std::set<std::uint64_t>{1, 2}));
}

TEST_F(Agent, StopAndRecall) {
  join();
  main.assign({1, 2, 3, 4}, "torture", text("wait"));
  ASSERT_TRUE(main.until([&] { return main.started.size() == 2; }));
  main.say(MessageType::Recall, {1, 2, 3}, 5);
  ASSERT_TRUE(main.until([&] { return main.returned.size() == 1; }));
  EXPECT_EQ(main.returned[0].attempts, std::vector<AttemptId>{AttemptId(3)});
  main.say(MessageType::Stop, {1, 2, 4});
  ASSERT_TRUE(main.until([&] { return main.results.size() == 3; }));
  for (const std::uint64_t attempt : {1u, 2u, 4u}) EXPECT_EQ(main.results[attempt].outcome, Outcome::Cancelled);
}

TEST_F(Agent, BeatsAndTellsWhatItHolds) {
  join();
  main.assign({7}, "torture", text("wait"));
  ASSERT_TRUE(main.until(
      [&] { return !main.heartbeats.empty() && main.heartbeats.back().held == std::vector<AttemptId>{AttemptId(7)}; }));
  EXPECT_EQ(main.heartbeats.back().seen, 1u);
  EXPECT_EQ(main.heartbeats.back().running, 1u);
}

TEST_F(Agent, GoesOnWhenMainHasForgottenIt) {
  join();
  main.assign({1}, "torture", text("wait"));
  ASSERT_TRUE(main.until([&] { return main.started.contains(1); }));
  main.knows_nobody = true;
  ASSERT_TRUE(main.until([&] { return main.hellos.size() == 2; }));
  EXPECT_EQ(main.hellos[1].held, std::vector<AttemptId>{AttemptId(1)});
  EXPECT_EQ(main.hellos[1].instance, main.hellos[0].instance);
  main.say(MessageType::Stop, {1});
  EXPECT_TRUE(main.until([&] { return has(1); }));
}

TEST_F(Agent, ConnectsAnewWhenMainIsSilent) {
  join();
  main.answers_heartbeats = false;
  ASSERT_TRUE(main.until([&] { return main.hellos.size() == 2; }));
  main.answers_heartbeats = true;
  main.assign({1}, "echo", text("hi"));
  EXPECT_TRUE(main.until([&] { return has(1); }));
}

TEST_F(Agent, ResultsOfBeforeAreDeliveredToAMainThatIsBack) {
  main.acknowledges = false;
  join();
  main.assign({1}, "echo", text("hi"));
  ASSERT_TRUE(main.until([&] { return has(1); }));
  main.acknowledges = true;
  main.knows_nobody = true;
  ASSERT_TRUE(main.until([&] { return main.deliveries.count(1) == 2; }));
  EXPECT_EQ(main.hellos.back().held, std::vector<AttemptId>{AttemptId(1)});
  ASSERT_TRUE(main.until([&] { return !main.heartbeats.empty() && main.heartbeats.back().held.empty(); }));
}

TEST_F(Agent, FindsAMainThatWasRestartedOnItsPort) {
  auto first = std::make_unique<FakeMain>();
  const std::uint16_t port = first->port();
  worker.emplace(
      std::vector<std::string>{"--join", "127.0.0.1:" + std::to_string(port), "--data-dir", directory / "data"},
      directory / "log");
  ASSERT_TRUE(first->until([&] { return !first->hellos.empty(); }));
  first.reset();
  FakeMain second(port);
  second.knows_nobody = true;
  ASSERT_TRUE(second.until([&] { return !second.hellos.empty(); }));
  second.assign({1}, "echo", text("hi"));
  EXPECT_TRUE(second.until([&] { return second.results.contains(1); }));
}

// A main that acknowledges nothing stands for one that is away; the worker is killed after it has saved, or stopped.
TEST_F(Agent, ResultsSurviveItsOwnEnd) {
  for (const int how : {SIGKILL, SIGTERM, SIGINT}) {
    main.acknowledges = false;
    main.results.clear();
    main.deliveries.clear();
    main.drains = 0;
    join({"--device-id", "d"});
    main.assign({1, 2}, "echo", text("hi"));
    ASSERT_TRUE(main.until([&] { return has(1) && has(2); }));
    if (how == SIGKILL) {
      ASSERT_TRUE(main.until([&] { return fs::file_size(directory / "data" / "outbox") > 8; }));
      worker->signal(SIGKILL);
    } else {
      worker->signal(how);
      ASSERT_TRUE(main.until([&] { return main.drains == 1; }));
      worker->signal(how);  // at once
    }
    ASSERT_TRUE(main.until([&] { return worker->ended(); }));
    main.hellos.clear();
    main.results.clear();
    main.acknowledges = true;
    join({"--device-id", "d"});
    EXPECT_EQ(main.hellos[0].held.size(), 2u);
    ASSERT_TRUE(main.until([&] { return has(1) && has(2); }));
    EXPECT_EQ(main.results[2].data,
              "\x81\xa4"
              "echo\xa2hi");
    ASSERT_TRUE(main.until([&] { return !main.heartbeats.empty() && main.heartbeats.back().held.empty(); }));
    EXPECT_EQ(fs::file_size(directory / "data" / "outbox"), 8u) << "what main has is removed";
    main.heartbeats.clear();
    main.hellos.clear();
    worker.reset();
  }
}

TEST_F(Agent, GoesOnWithoutAPlaceForResults) {
  fs::create_directories(directory / "data" / "outbox");  // a directory where the file should be
  join();
  EXPECT_THAT(worker->log(), HasSubstr("results are kept in memory only"));
  main.acknowledges = false;
  main.assign({1}, "echo", text("hi"));
  ASSERT_TRUE(main.until([&] { return main.deliveries.count(1) == 1; }));
  main.acknowledges = true;
  main.knows_nobody = true;
  EXPECT_TRUE(main.until([&] { return main.deliveries.count(1) == 2; }));
}

TEST_F(Agent, StopsWhenItIsReplaced) {
  join({"--device-id", "twin"});
  main.error(ErrorCode::Replaced);
  ASSERT_TRUE(main.until([&] { return worker->ended(); }));
  EXPECT_EQ(worker->exit_status(), 1);
  EXPECT_THAT(worker->log(), HasSubstr("another worker has joined as twin"));
}

TEST_F(Agent, SurvivesGarbage) {
  join();
  main.send("garbage");
  main.send(std::string(1, '\xc0'));
  main.send(
      "\x94\x01\xa6"
      "assign"
      "\x01\x80");  // fields missing
  main.send(
      "\x94\x01\xa6"
      "submit"
      "\x01\x80");  // not for workers
  main.send(
      "\x94\x01\xa7"
      "invente"
      "\x01\x80");  // no such type
  main.send(
      "\x94\x02\xa6"
      "assign"
      "\x01\x80");  // no such version
  main.say(MessageType::Stop, {123456789});
  main.say(MessageType::Recall, {}, 3);
  main.assign({1}, "echo", text("hi"));
  EXPECT_TRUE(main.until([&] { return has(1); }));
  EXPECT_EQ(main.returned.size(), 1u);
}

TEST_F(Agent, WhatItDoesNotOfferIsHandedBack) {
  join({"--deny", "echo"});
  EXPECT_THAT(main.hellos[0].device->handlers, Not(Contains("echo")));
  main.assign({1}, "echo", text("hi"));
  ASSERT_TRUE(main.until([&] { return has(1); }));
  EXPECT_EQ(main.results[1].outcome, Outcome::HandedBack);
}

TEST_F(Agent, DrainsOnSigterm) {
  join();
  main.assign({1}, "sleep",
              std::string("\x81\xa8"
                          "duration\xcb\x3f\xd9\x99\x99\x99\x99\x99\x9a",
                          19));  // 0.4
  main.assign({2, 3, 4}, "torture", text("wait"), 1s);
  ASSERT_TRUE(main.until([&] { return main.started.size() == 2; }));
  worker->signal(SIGTERM);
  ASSERT_TRUE(main.until([&] { return worker->ended() && main.goodbyes == 1; }));
  EXPECT_EQ(worker->exit_status(), 0);
  EXPECT_EQ(main.drains, 1);
  EXPECT_EQ(main.results[1].outcome, Outcome::Success);
  EXPECT_EQ(main.results[2].outcome, Outcome::Timeout);
  EXPECT_EQ(main.results[3].outcome, Outcome::HandedBack);
  EXPECT_EQ(main.results[4].outcome, Outcome::HandedBack);
}

TEST_F(Agent, DrainHasATimeLimit) {
  join({"--drain-timeout", "0.2"});
  main.assign({1}, "torture", text("hang"));
  ASSERT_TRUE(main.until([&] { return main.started.contains(1); }));
  worker->signal(SIGTERM);
  ASSERT_TRUE(main.until([&] { return worker->ended() && main.goodbyes == 1; }));
  EXPECT_EQ(worker->exit_status(), 0);
  EXPECT_FALSE(has(1));
}

TEST_F(Agent, ASecondSignalEndsAtOnce) {
  join();
  main.assign({1}, "torture", text("hang"));
  ASSERT_TRUE(main.until([&] { return main.started.contains(1); }));
  worker->signal(SIGINT);
  ASSERT_TRUE(main.until([&] { return main.drains == 1; }));
  worker->signal(SIGINT);
  ASSERT_TRUE(main.until([&] { return worker->ended(); }));
  EXPECT_EQ(worker->exit_status(), 1);
}

TEST_F(Agent, HostsDieWithTheirWorker) {
  join();
  main.assign({1}, "torture", text("pid"));
  ASSERT_TRUE(main.until([&] { return has(1); }));
  const pid_t host = std::stoi(main.results[1].data.substr(1));
  main.assign({2}, "torture", text("hang"));
  ASSERT_TRUE(main.until([&] { return main.started.contains(2); }));
  ASSERT_EQ(::kill(host, 0), 0);
  worker->signal(SIGKILL);
  EXPECT_TRUE(main.until([&] { return worker->ended() && gone(host); }));
}

TEST_F(Agent, ASecondWorkerInItsDataDirectoryIsRefused) {
  join();
  WorkerProcess other({"--join", "127.0.0.1:" + std::to_string(main.port()), "--data-dir", directory / "data"},
                      directory / "log2");
  ASSERT_TRUE(main.until([&] { return other.ended(); }));
  EXPECT_EQ(other.exit_status(), 3);
  EXPECT_THAT(other.log(), HasSubstr("--data-dir"));
}

TEST_F(Agent, TestOfAConnection) {
  WorkerProcess good({"--test", "127.0.0.1:" + std::to_string(main.port()), "--json", "--data-dir", directory / "data"},
                     directory / "log");
  ASSERT_TRUE(main.until([&] { return good.ended(); }));
  EXPECT_EQ(good.exit_status(), 0);
  EXPECT_THAT(good.log(), HasSubstr("\"device_id\": "));
  EXPECT_EQ(main.hellos.at(0).peer, PeerKind::Client);  // leaves no device behind

  WorkerProcess bad({"--test", "127.0.0.1:1", "--connect-timeout", "0.3", "--data-dir", directory / "data"},
                    directory / "log2");
  ASSERT_TRUE(main.until([&] { return bad.ended(); }));
  EXPECT_EQ(bad.exit_status(), 4);
  EXPECT_THAT(bad.log(), HasSubstr("127.0.0.1:1"));
}

TEST_F(Agent, WrongFlagsAreNamed) {
  const std::vector<std::pair<std::vector<std::string>, int>> cases = {
      {{"--no-such-flag"}, 2},
      {{"--slots", "0"}, 2},
      {{"--role", "king"}, 2},
      {{"--join", "not an address"}, 2},
      {{"--http-allow", "everybody"}, 2},
      {{"--sandbox", "hard"}, 2},
      {{"--device-id", "no spaces"}, 2},
      {{"--plugin-dir", "/nonexistent"}, 3},
  };
  int i = 0;
  for (const auto& [flags, status] : cases) {
    std::vector<std::string> arguments = flags;
    arguments.insert(arguments.end(), {"--data-dir", directory / "data"});
    WorkerProcess wrong(arguments, directory / ("log" + std::to_string(++i)));
    ASSERT_TRUE(main.until([&] { return wrong.ended(); })) << flags[0];
    EXPECT_EQ(wrong.exit_status(), status) << flags[0] << wrong.log();
    EXPECT_THAT(wrong.log(), HasSubstr(flags.back())) << wrong.log();
  }
}

}  // namespace
}  // namespace retire::worker
