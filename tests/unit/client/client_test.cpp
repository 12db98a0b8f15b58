#include "client/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/client/fake_main.hpp"

namespace retire::client {
namespace {

using test::FakeMain;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using namespace std::chrono_literals;

NewTask task(const std::string& type, std::string payload = "\x05") {
  NewTask out;
  out.spec.type = type;
  out.payload = std::move(payload);
  return out;
}

TaskSpec spec(const std::string& type) { return task(type).spec; }

struct Recorder : Events {
  void on_submitted(std::span<const TaskId> tasks) override {
    submitted.insert(submitted.end(), tasks.begin(), tasks.end());
  }
  void on_refused(std::span<const TaskId> tasks, const Error& error, std::optional<std::uint64_t> at) override {
    refused.insert(refused.end(), tasks.begin(), tasks.end());
    refusal = error;
    index = at;
  }
  void on_result(const ResultItem& item, std::string_view device) override {
    results.push_back(TaskResult::copy(item, device));
  }
  void on_lost(const TaskId& id) override { lost.push_back(id); }

  std::vector<TaskId> submitted;
  std::vector<TaskId> refused;
  std::optional<Error> refusal;
  std::optional<std::uint64_t> index;
  std::vector<TaskResult> results;
  std::vector<TaskId> lost;
};

class ClientTest : public testing::Test {
 protected:
  std::unique_ptr<Client> connect(Duration timeout = 10s) {
    Options options;
    options.address = main_.parsed_address();
    options.connect_timeout = timeout;
    auto client = Client::connect(options);
    EXPECT_TRUE(client.ok()) << client.error().detail;
    return std::move(client).value();
  }
  template <class Condition>
  bool poll_until(Client& client, Events& events, Condition condition) {
    const TimePoint end = SystemClock::now().monotonic + 20s;
    while (!condition()) {
      if (SystemClock::now().monotonic > end || !client.poll(20ms, events).ok()) return false;
    }
    return true;
  }
  FakeMain main_;
};

TEST_F(ClientTest, SubmitsAndWaits) {
  const auto client = connect();
  const auto ids = client->submit({task("echo"), task("fail")}, 10s);
  ASSERT_TRUE(ids.ok()) << ids.error().detail;
  EXPECT_THAT(ids.value(), SizeIs(2));
  const auto results = client->wait({ids.value()[1], ids.value()[0]}, 10s);
  ASSERT_TRUE(results.ok()) << results.error().detail;
  EXPECT_EQ(results.value()[0].status, TaskStatus::Failed);
  EXPECT_EQ(results.value()[0].error_message, "it broke");
  EXPECT_EQ(results.value()[1].data, "\x05");
  EXPECT_EQ(results.value()[1].device_id, "nas-1");
}

TEST_F(ClientTest, IdsAreRandomUuidsOfVersion4) {
  const auto client = connect();
  const TaskId id = client->new_id();
  EXPECT_NE(id, client->new_id());
  EXPECT_EQ(id.text()[14], '4');
}

TEST_F(ClientTest, WaitTimesOutAndNamesTheTask) {
  const auto client = connect();
  const auto ids = client->submit({task("slow")}, 10s);
  const auto results = client->wait(ids.value(), 50ms);
  ASSERT_FALSE(results.ok());
  EXPECT_EQ(results.error().code, ErrorCode::TimedOut);
  EXPECT_THAT(results.error().detail, HasSubstr(ids.value()[0].text()));
  EXPECT_EQ(client->awaited(), 0u);
}

TEST_F(ClientTest, WaitForAnUnknownTaskIsNotFound) {
  const auto client = connect();
  const auto results = client->wait({TaskId(1, 2)}, 10s);
  ASSERT_FALSE(results.ok());
  EXPECT_EQ(results.error().code, ErrorCode::NotFound);
}

TEST_F(ClientTest, AConflictIsRefused) {
  const auto client = connect();
  NewTask one = task("echo");
  one.id = TaskId(1, 1);
  ASSERT_TRUE(client->submit({one}, 10s).ok());
  ASSERT_TRUE(client->submit({one}, 10s).ok()) << "the same again changes nothing";
  one.payload = "\x06";
  const auto again = client->submit({one}, 10s);
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::Conflict);
}

TEST_F(ClientTest, TooMuchIsRefusedBeforeItIsSent) {
  const auto client = connect();
  EXPECT_EQ(client->submit({task("echo", std::string(kPayloadBytesMax + 1, 'x'))}, 10s).error().code,
            ErrorCode::TooLarge);
  EXPECT_EQ(client->submit(std::vector<NewTask>(kBatchItemsMax + 1, task("echo")), 10s).error().code,
            ErrorCode::TooLarge);
  EXPECT_EQ(client->submit(std::vector<NewTask>(31, task("echo", std::string(1 << 20, 'x'))), 10s).error().code,
            ErrorCode::TooLarge);
  EXPECT_EQ(main_.submissions(), 0u);
  EXPECT_TRUE(client->submit({}, 10s).ok());
}

TEST_F(ClientTest, AsksAboutTasks) {
  const auto client = connect();
  const auto ids = client->submit({task("slow"), task("none")}, 10s).value();
  const auto maps = client->get({ids[0], TaskId(9, 9)}, true, true, 10s);
  ASSERT_TRUE(maps.ok());
  EXPECT_TRUE(maps.value()[0].has_value());
  EXPECT_FALSE(maps.value()[1].has_value());
  const auto page = client->list(List{}, 10s);
  ASSERT_TRUE(page.ok());
  EXPECT_THAT(page.value().tasks, SizeIs(2));
  const auto cancelled = client->cancel({ids[0], ids[0], TaskId(9, 9)}, 10s);
  ASSERT_TRUE(cancelled.ok());
  EXPECT_THAT(cancelled.value(), ElementsAre(true, false, std::nullopt));
  EXPECT_TRUE(client->why(ids[1], 10s).ok());
  EXPECT_TRUE(client->why(spec("x"), 10s).ok());
  EXPECT_EQ(client->why(TaskId(9, 9), 10s).error().code, ErrorCode::NotFound);
  EXPECT_TRUE(client->stats(10s).ok());
  EXPECT_TRUE(client->devices("", 10s).ok());
  EXPECT_EQ(client->devices("x", 10s).error().code, ErrorCode::NotFound);
}

TEST_F(ClientTest, PostedTasksGoInBatchesAndComeBackOnce) {
  const auto client = connect();
  Recorder events;
  constexpr std::size_t kTasks = 2'000;
  std::vector<TaskId> ids;
  for (std::size_t i = 0; i < kTasks; ++i) ids.push_back(client->post(spec(i % 2 == 0 ? "echo" : "fail"), "\xc0"));
  EXPECT_EQ(client->unacknowledged(), kTasks);
  ASSERT_TRUE(poll_until(*client, events, [&] { return events.results.size() == kTasks; }));
  EXPECT_EQ(events.submitted, ids);
  EXPECT_EQ(client->unacknowledged(), 0u);
  EXPECT_EQ(client->unacknowledged_bytes(), 0u);
  EXPECT_EQ(client->awaited(), 0u);
  EXPECT_THAT(main_.batch_sizes(), ElementsAre(512, 512, 512, 464));
}

TEST_F(ClientTest, LargePayloadsMakeSmallBatches) {
  const auto client = connect();
  Recorder events;
  for (int i = 0; i < 4; ++i) client->post(spec("slow"), std::string(700'000, 'x'));
  ASSERT_TRUE(poll_until(*client, events, [&] { return events.submitted.size() == 4; }));
  EXPECT_THAT(main_.batch_sizes(), ElementsAre(1, 1, 1, 1));
}

TEST_F(ClientTest, ARefusedTaskDoesNotTakeThoseInFrontOfItDown) {
  const auto client = connect();
  Recorder events;
  NewTask taken = task("slow");
  taken.id = TaskId(7, 7);
  ASSERT_TRUE(client->submit({taken}, 10s).ok());
  const TaskId first = client->post(spec("echo"), "\x01");
  const TaskId second = client->post(spec("slow"), "\x09", {}, TaskId(7, 7));
  const TaskId third = client->post(spec("echo"), "\x01");
  ASSERT_TRUE(poll_until(*client, events, [&] { return events.submitted.size() + events.refused.size() == 3; }));
  EXPECT_THAT(events.submitted, ElementsAre(first));
  EXPECT_THAT(events.refused, ElementsAre(second, third));
  EXPECT_EQ(events.index, 0u);
  EXPECT_EQ(events.refusal->code, ErrorCode::Conflict);
  EXPECT_EQ(client->unacknowledged(), 0u);
}

TEST_F(ClientTest, BusyIsRepeatedUntilItIsAccepted) {
  const auto client = connect();
  main_.busy_answers = 3;
  EXPECT_TRUE(client->submit({task("echo")}, 10s).ok());
  EXPECT_EQ(main_.submissions(), 4u);
}

TEST_F(ClientTest, ResultsDuringABlockingCallAreKept) {
  const auto client = connect();
  Recorder events;
  const TaskId posted = client->post(spec("echo"), "\x01");
  const auto other = client->submit({task("echo")}, 10s);
  ASSERT_TRUE(client->wait(other.value(), 10s).ok());
  ASSERT_TRUE(client->stats(10s).ok());
  ASSERT_TRUE(poll_until(*client, events, [&] { return !events.results.empty(); }));
  EXPECT_EQ(events.results[0].id, posted);
  EXPECT_THAT(events.submitted, ElementsAre(posted));
}

TEST_F(ClientTest, AMainThatLostItsSessionsIsGreetedAgainAndNothingIsLost) {
  const auto client = connect();
  Recorder events;
  main_.hold_results = true;
  const TaskId id = client->post(spec("echo"), "\x01");
  ASSERT_TRUE(poll_until(*client, events, [&] { return !events.submitted.empty(); }));
  main_.forget_sessions();
  main_.hold_results = false;
  ASSERT_TRUE(poll_until(*client, events, [&] { return !events.results.empty(); }));
  EXPECT_EQ(events.results[0].id, id);
  EXPECT_TRUE(client->stats(10s).ok());
  EXPECT_EQ(main_.hellos(), 2u);
}

TEST_F(ClientTest, AMainThatKeptNothingSaysSo) {
  const auto client = connect();
  Recorder events;
  const TaskId id = client->post(spec("slow"), "\x01");
  ASSERT_TRUE(poll_until(*client, events, [&] { return !events.submitted.empty(); }));
  main_.forget_everything();
  ASSERT_TRUE(poll_until(*client, events, [&] { return !events.lost.empty(); }));
  EXPECT_THAT(events.lost, ElementsAre(id));
  EXPECT_EQ(client->awaited(), 0u);
}

TEST_F(ClientTest, ASilentMainIsReconnectedTo) {
  const auto client = connect();
  main_.mute = true;
  const auto stats = client->stats(1500ms);
  ASSERT_FALSE(stats.ok());
  EXPECT_EQ(stats.error().code, ErrorCode::Unreachable) << stats.error().detail;
  main_.mute = false;
  EXPECT_TRUE(client->stats(20s).ok());
  EXPECT_GE(main_.hellos(), 2u);
}

TEST_F(ClientTest, ARefusedHelloIsAnError) {
  main_.refuse_hello = true;
  Options options;
  options.address = main_.parsed_address();
  const auto client = Client::connect(options);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, ErrorCode::NotLetIn);
}

TEST(Connect, NobodyThereIsUnreachableAndSaysWhatToCheck) {
  std::uint16_t port = 0;
  {
    const FakeMain main;
    port = main.parsed_address().port;
  }
  Options options;
  options.address = {"127.0.0.1", port};
  options.connect_timeout = 200ms;
  const auto client = Client::connect(options);
  ASSERT_FALSE(client.ok());
  EXPECT_EQ(client.error().code, ErrorCode::Unreachable);
  EXPECT_THAT(client.error().detail, HasSubstr("main not reached at 127.0.0.1:" + std::to_string(port) +
                                               " within 0.2 s; is retire-cluster-main"));
}

}  // namespace
}  // namespace retire::client
