// Main's loop and its store: what is acknowledged and when, what is refused, what is kept and for how long. The store
// is one without a disk, so that each test decides what is durable.
#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "broker/service/broker.hpp"
#include "tests/fakes/durable_store.hpp"

namespace retire::service {
namespace {

using namespace std::chrono_literals;

class Wire final : public Transport {
 public:
  net::Received receive(std::string& peer, std::string_view& frame) override {
    if (in.empty()) return net::Received::Nothing;
    peer = in.front().first;
    current_ = std::move(in.front().second);
    in.pop_front();
    frame = current_;
    return net::Received::Message;
  }
  net::Connection source() const override { return {}; }
  net::Sent send(std::string_view peer, std::string&& frame, const net::Unsent& /*unsent*/) override {
    out.emplace_back(peer, std::move(frame));
    return net::Sent::Yes;
  }

  std::deque<std::pair<std::string, std::string>> in;
  std::deque<std::pair<std::string, std::string>> out;

 private:
  std::string current_;
};

TaskId task_id(std::uint64_t n) { return TaskId(n, 0x7461736b); }

// A main on a disk; the next one on the same disk is its restart.
class Main {
 public:
  Main(testing::FakeDisk& disk, const BrokerConfig& config)
      : store(disk, ++starts_), broker(with_epoch(config), wire, store) {
    peer("client", PeerKind::Client);
    while (!broker.loaded()) EXPECT_TRUE(turn().ok());
    settle();
    wire.out.clear();
  }

  void peer(const std::string& name, PeerKind kind, const std::string& type = "echo") {
    Hello hello;
    hello.peer = kind;
    hello.program = name;
    hello.instance = Uuid(1, name.size());
    if (kind == PeerKind::Worker) {
      hello.device.emplace();
      hello.device->device_id = name;
      hello.device->role = "worker";
      hello.device->platform = "linux";
      hello.device->handlers = {type};
      hello.device->slots = 1;
    }
    std::string frame;
    protocol::encode(frame, 1, hello);
    wire.in.emplace_back(name, std::move(frame));
  }

  Status turn(Duration by = 1ms) {
    now_.monotonic += by;
    now_.wall += by;
    return broker.turn(now_);
  }
  // Until nothing more happens by itself.
  void settle() {
    for (int i = 0; i < 50; ++i) {
      ASSERT_TRUE(turn().ok());
      store.commit();
      store.answer_fetches();
    }
  }

  void submit(std::uint64_t n, const std::string& payload = "\xa1x", const std::string& type = "echo",
              bool notify = false) {
    protocol::SubmitBatch batch(notify);
    TaskSpec spec;
    spec.type = type;
    batch.add(task_id(n), batch.add_spec(spec), payload);
    wire.in.emplace_back("client", batch.take(++correlation_));
  }
  void ask(MessageType type, const std::vector<TaskId>& ids) {
    std::string frame;
    protocol::encode_ids(frame, type, ++correlation_, ids);
    wire.in.emplace_back("client", std::move(frame));
  }
  void control(QueueControl::Action action, const std::string& type) {
    std::string frame;
    protocol::encode(frame, ++correlation_, QueueControl{action, type});
    wire.in.emplace_back("client", std::move(frame));
  }
  // The worker's answer to what it was assigned last.
  void finish(const Assign& assign, const std::string& data) {
    protocol::FinishedBatch batch;
    for (const AssignItem& item : assign.tasks) {
      FinishedItem done;
      done.task = item.task;
      done.attempt = item.attempt;
      done.data = data;
      batch.add(done);
    }
    wire.in.emplace_back("worker", batch.take(++correlation_));
  }

  // The oldest frame of this type that was sent, taken out; views of what is decoded from it live until the next one.
  template <class Message>
  std::optional<Message> sent(MessageType type) {
    for (auto at = wire.out.begin(); at != wire.out.end(); ++at) {
      std::uint64_t correlation = 0;
      const Result<protocol::Envelope> envelope = protocol::decode_envelope(at->second, correlation);
      if (!envelope.ok() || envelope.value().type != type) continue;
      frame_ = std::move(at->second);
      wire.out.erase(at);
      Message out;
      EXPECT_TRUE(protocol::decode(protocol::decode_envelope(frame_, correlation).value().body, out).ok());
      return out;
    }
    return std::nullopt;
  }
  bool was_sent(MessageType type) const {
    for (const auto& [peer, frame] : wire.out) {
      std::uint64_t correlation = 0;
      const Result<protocol::Envelope> envelope = protocol::decode_envelope(frame, correlation);
      if (envelope.ok() && envelope.value().type == type) return true;
    }
    return false;
  }
  // Submits, runs and ends one task.
  void run(std::uint64_t n, const std::string& data, const std::string& payload = "\xa1x") {
    submit(n, payload);
    settle();
    const auto assign = sent<Assign>(MessageType::Assign);
    ASSERT_TRUE(assign && assign->tasks.size() == 1);
    finish(*assign, data);
    settle();
  }
  bool knows(std::uint64_t n) const { return static_cast<bool>(broker.scheduler().find(task_id(n))); }
  std::string why(std::uint64_t n) const {
    return broker.scheduler().explain(broker.scheduler().find(task_id(n))).reason;
  }

  Wire wire;
  testing::FakeStore store;
  Broker broker;

 private:
  static BrokerConfig with_epoch(BrokerConfig config) {
    config.epoch = starts_;
    return config;
  }
  static inline std::uint64_t starts_ = 0;
  static inline Now now_{TimePoint(1h), WallTime(std::chrono::hours(1'000'000))};
  std::uint64_t correlation_ = 1;
  std::string frame_;
};

std::string text(char letter, std::size_t size) {  // a msgpack str 32
  std::string out("\xdb\0\0\0\0", 5);
  for (int i = 0; i < 4; ++i) out[static_cast<std::size_t>(1 + i)] = static_cast<char>(size >> (24 - 8 * i));
  return out + std::string(size, letter);
}

TEST(BrokerStore, AnAcknowledgementLeavesAfterTheCommitThatCoversIt) {
  testing::FakeDisk disk;
  Main main(disk, {});
  main.submit(1);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(main.turn().ok());
  EXPECT_TRUE(main.store.has_uncommitted());
  EXPECT_FALSE(main.was_sent(MessageType::Submitted));
  main.store.commit();
  ASSERT_TRUE(main.turn().ok());
  EXPECT_TRUE(main.was_sent(MessageType::Submitted));
}

TEST(BrokerStore, AStoreThatFailsEndsMainAndNothingMoreIsTold) {
  testing::FakeDisk disk;
  Main main(disk, {});
  main.submit(1);
  ASSERT_TRUE(main.turn().ok());
  main.store.fail("the store in /data has failed: cannot fsync /data/000007.log: Input/output error");
  const Status turned = main.turn();
  ASSERT_FALSE(turned.ok());
  EXPECT_EQ(turned.error().code, ErrorCode::StorageFailed);
  EXPECT_NE(turned.error().detail.find("cannot fsync /data/000007.log"), std::string::npos);
  EXPECT_FALSE(main.was_sent(MessageType::Submitted));
  EXPECT_FALSE(main.turn().ok()) << "nor later";
  EXPECT_FALSE(main.was_sent(MessageType::Submitted));
  EXPECT_TRUE(disk.records.empty());
}

TEST(BrokerStore, AStoreThatCannotBeLoadedEndsMain) {
  testing::FakeDisk disk;
  {
    Main main(disk, {});
    main.submit(1);
    main.settle();
  }
  testing::FakeStore store(disk, 99);
  Wire wire;
  Broker broker({}, wire, store);
  store.fail("batch 3 in column family records does not match its checksum");
  const Status turned = broker.turn({TimePoint(2h), WallTime(std::chrono::hours(1'000'001))});
  ASSERT_FALSE(turned.ok());
  EXPECT_EQ(turned.error().code, ErrorCode::StorageFailed);
}

TEST(BrokerStore, WithLittleRoomOnTheDiskSubmissionsAreToldToComeAgain) {
  testing::FakeDisk disk;
  BrokerConfig config;
  config.scheduler.busy_retry_after = 3s;
  Main main(disk, config);
  main.peer("worker", PeerKind::Worker);
  main.submit(1);
  main.settle();
  main.store.set_space({.used_bytes = 1, .free_bytes = std::uint64_t{100} << 20, .low = true});
  const std::size_t records = disk.records.size();
  main.submit(2);
  main.settle();
  const auto refused = main.sent<ErrorReply>(MessageType::Error);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::Busy);
  EXPECT_EQ(refused->retry_after, std::optional<Duration>(3s));
  EXPECT_NE(refused->message.find("100 MiB are free"), std::string::npos) << refused->message;
  EXPECT_NE(refused->message.find("--disk-reserve"), std::string::npos) << refused->message;
  EXPECT_FALSE(main.knows(2));
  EXPECT_EQ(disk.records.size(), records);
  EXPECT_EQ(main.broker.counters().busy, 1u);
  // What was taken goes on: a result finds its place.
  const auto assign = main.sent<Assign>(MessageType::Assign);
  ASSERT_TRUE(assign);
  main.finish(*assign, "\xa1r");
  main.settle();
  EXPECT_EQ(main.broker.scheduler().task(main.broker.scheduler().find(task_id(1))).status, TaskStatus::Success);
  // With room, it is taken.
  main.store.set_space({.used_bytes = 1, .free_bytes = std::uint64_t{900} << 20, .low = false});
  main.submit(2);
  main.settle();
  EXPECT_TRUE(main.knows(2));
}

TEST(BrokerStore, ADiskThatIsBehindHoldsUpSubmissions) {
  testing::FakeDisk disk;
  BrokerConfig config;
  config.backlog_bytes_max = 1'000;
  Main main(disk, config);
  main.store.set_backlog(1'001);
  main.submit(1);
  main.settle();
  const auto refused = main.sent<ErrorReply>(MessageType::Error);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::Busy);
  EXPECT_TRUE(refused->retry_after.has_value());
  main.store.set_backlog(1'000);
  main.submit(1);
  main.settle();
  EXPECT_TRUE(main.knows(1));
}

TEST(BrokerStore, TheLimitOfWhatWaitsCountsWhatARestartHasLoaded) {
  testing::FakeDisk disk;
  BrokerConfig config;
  config.scheduler.waiting_tasks_max = 2;
  {
    Main main(disk, config);
    main.submit(1);
    main.submit(2);
    main.settle();
  }
  Main main(disk, config);
  main.submit(3);
  main.submit(2);  // known: it takes no room
  main.settle();
  const auto refused = main.sent<ErrorReply>(MessageType::Error);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, ErrorCode::Busy);
  EXPECT_TRUE(refused->retry_after.has_value());
  EXPECT_FALSE(main.knows(3));
  main.ask(MessageType::Cancel, {task_id(1)});
  main.submit(3);
  main.settle();
  EXPECT_TRUE(main.knows(3));
}

struct Limit {
  const char* name;
  void (*set)(core::SchedulerConfig&);
  Duration wait;
};

class HistoryLimit : public ::testing::TestWithParam<Limit> {};

// Five tasks have ended, the limit leaves the last two; so it is after a restart, and with the records.
TEST_P(HistoryLimit, WhatIsBeyondItIsForgottenForGood) {
  testing::FakeDisk disk;
  BrokerConfig config;
  GetParam().set(config.scheduler);
  {
    Main main(disk, config);
    main.peer("worker", PeerKind::Worker);
    for (std::uint64_t n = 1; n <= 5; ++n) {
      if (n == 4) {
        ASSERT_TRUE(main.turn(GetParam().wait).ok());
      }
      main.run(n, text('r', 3'000));
    }
    for (std::uint64_t n = 1; n <= 5; ++n) EXPECT_EQ(main.knows(n), n > 3) << n;
    std::size_t forgotten = 0;
    for (const auto& [position, record] : disk.records) {
      if (record.record.kind == store::Record::Kind::Forgotten) ++forgotten;
    }
    EXPECT_EQ(forgotten, 3u);
  }
  Main main(disk, config);
  for (std::uint64_t n = 1; n <= 5; ++n) EXPECT_EQ(main.knows(n), n > 3) << n;
  main.ask(MessageType::Wait, {task_id(1), task_id(5)});
  main.settle();
  const auto results = main.sent<Results>(MessageType::Results);
  ASSERT_TRUE(results && results->results.size() == 1);
  EXPECT_EQ(results->results[0].id, task_id(5));
  EXPECT_EQ(results->results[0].data->size(), 3'005u);
}

INSTANTIATE_TEST_SUITE_P(
    Limits, HistoryLimit,
    ::testing::Values(Limit{"count", [](core::SchedulerConfig& c) { c.history_tasks_max = 2; }, 1ms},
                      Limit{"bytes", [](core::SchedulerConfig& c) { c.history_bytes_max = 8'000; }, 1ms},
                      Limit{"age", [](core::SchedulerConfig& c) { c.history_age_max = 5s; }, 6s}),
    [](const auto& limit) { return std::string(limit.param.name); });

// With no budget at all, payloads and results are read from the store when they are wanted.
TEST(BrokerStore, BeyondTheMemoryBudgetPayloadsAndResultsAreOnDiskOnly) {
  testing::FakeDisk disk;
  BrokerConfig config;
  config.scheduler.memory_budget = 0;
  Main main(disk, config);
  const std::string payload = text('p', 2'000);
  main.submit(1, payload, "echo", true);
  main.settle();
  const core::TaskIndex task = main.broker.scheduler().find(task_id(1));
  ASSERT_TRUE(task);
  EXPECT_TRUE(main.broker.scheduler().task(task).payload.is_absent());
  EXPECT_EQ(main.broker.counters().fetched, 0u);
  main.peer("worker", PeerKind::Worker);
  main.settle();
  const auto assign = main.sent<Assign>(MessageType::Assign);
  ASSERT_TRUE(assign && assign->tasks.size() == 1);
  EXPECT_EQ(assign->tasks[0].payload, payload);
  EXPECT_EQ(main.broker.counters().fetched, 1u);
  main.finish(*assign, text('r', 3'000));
  main.settle();
  const auto told = main.sent<Results>(MessageType::Results);
  ASSERT_TRUE(told && told->results.size() == 1);
  EXPECT_TRUE(main.broker.scheduler().tasks().find_ending(task)->absent);
  main.ask(MessageType::Wait, {task_id(1)});
  main.settle();
  const auto read = main.sent<Results>(MessageType::Results);
  ASSERT_TRUE(read && read->results.size() == 1);
  EXPECT_EQ(read->results[0].data, text('r', 3'000));
  EXPECT_EQ(main.broker.counters().fetched, 2u);
}

TEST(BrokerStore, WithinTheBudgetNothingIsRead) {
  testing::FakeDisk disk;
  Main main(disk, {});
  main.peer("worker", PeerKind::Worker);
  main.run(1, text('r', 3'000), text('p', 2'000));
  main.ask(MessageType::Wait, {task_id(1)});
  main.settle();
  EXPECT_TRUE(main.was_sent(MessageType::Results));
  EXPECT_EQ(main.broker.counters().fetched, 0u);
}

TEST(BrokerStore, WhatIsPausedStaysPausedOverARestart) {
  testing::FakeDisk disk;
  {
    Main main(disk, {});
    main.control(QueueControl::Action::Pause, "echo");
    main.control(QueueControl::Action::Pause, "sleep");
    main.control(QueueControl::Action::Resume, "sleep");
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(main.turn().ok());
    EXPECT_FALSE(main.was_sent(MessageType::Done)) << "not before it is durable";
    main.settle();
    EXPECT_TRUE(main.was_sent(MessageType::Done));
  }
  {
    Main main(disk, {});
    main.peer("worker", PeerKind::Worker);
    main.peer("sleeper", PeerKind::Worker, "sleep");
    main.submit(1);
    main.submit(2, "\xa1x", "sleep");
    main.settle();
    EXPECT_EQ(main.why(1), "paused");
    EXPECT_NE(main.why(2), "paused");
    main.control(QueueControl::Action::Pause, "");
    main.settle();
  }
  Main main(disk, {});
  EXPECT_TRUE(main.broker.scheduler().paused());
  main.peer("worker", PeerKind::Worker);
  main.control(QueueControl::Action::Resume, "");
  main.settle();
  EXPECT_FALSE(main.was_sent(MessageType::Assign)) << "its type is paused still";
  main.control(QueueControl::Action::Resume, "echo");
  main.settle();
  EXPECT_TRUE(main.was_sent(MessageType::Assign));
}

// A pause is known before the first task is handed out, whatever was stored since and before.
TEST(BrokerStore, NothingIsHandedOutBeforeAPauseIsKnown) {
  testing::FakeDisk disk;
  {
    Main main(disk, {});
    main.control(QueueControl::Action::Pause, "");
    main.settle();
    for (std::uint64_t n = 1; n <= 200; ++n) main.submit(n);
    main.settle();
  }
  testing::FakeStore store(disk, 7);
  store.set_recover_max(1);
  Wire wire;
  BrokerConfig config;
  config.epoch = 1'000;
  Broker broker(config, wire, store);
  EXPECT_TRUE(broker.scheduler().paused());
}

TEST(BrokerStore, SettingsOfANewerMainAreSaidToBeUnreadable) {
  testing::FakeDisk disk;
  {
    testing::FakeStore store(disk, 1);
    store::Record record;
    record.kind = store::Record::Kind::Settings;
    record.device = "\x02\x01";
    store.append(record);
    ASSERT_TRUE(store.close().ok());
  }
  Main main(disk, {});
  EXPECT_EQ(main.broker.counters().records_unreadable, 1u);
  EXPECT_FALSE(main.broker.scheduler().paused());
}

TEST(BrokerStore, SoManyTypesCanBePausedAndNoMore) {
  testing::FakeDisk disk;
  Main main(disk, {});
  for (int i = 0; i < 1'000; ++i) main.control(QueueControl::Action::Pause, "type" + std::to_string(i));
  main.settle();
  EXPECT_FALSE(main.was_sent(MessageType::Error));
  main.control(QueueControl::Action::Pause, "type7");  // is already
  main.settle();
  EXPECT_FALSE(main.was_sent(MessageType::Error));
  main.control(QueueControl::Action::Pause, "one-more");
  main.settle();
  const auto refused = main.sent<ErrorReply>(MessageType::Error);
  ASSERT_TRUE(refused);
  EXPECT_NE(refused->message.find("one-more"), std::string::npos) << refused->message;
  main.control(QueueControl::Action::Resume, "type7");
  main.control(QueueControl::Action::Pause, "one-more");
  main.settle();
  EXPECT_FALSE(main.was_sent(MessageType::Error));
}

}  // namespace
}  // namespace retire::service
