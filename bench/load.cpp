// A client that loads a running main, and checks every result.
//   rc_bench_load throughput ADDRESS SECONDS WINDOW PAYLOAD-BYTES  echo, WINDOW tasks in flight
//   rc_bench_load spawn ADDRESS SECONDS WINDOW                     the same with `command` running `true`
//   rc_bench_load latency ADDRESS N PAYLOAD-BYTES                  one task at a time
// Prints one line of JSON. Exit 1 if a result is wrong or missing.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/client.hpp"

namespace retire {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int kNotCounted = 200;
constexpr std::string_view kEchoPrefix(
    "\x81\xa4"
    "echo",
    6);

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "load: %s\n", what.c_str());
  std::exit(1);
}

double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

// A msgpack bin of `size` bytes in all, with the task's number in it.
std::string payload(std::uint64_t number, std::size_t size) {
  std::string out(size, 'x');
  out[0] = static_cast<char>(0xc5);
  out[1] = static_cast<char>((size - 3) >> 8);
  out[2] = static_cast<char>((size - 3) & 0xff);
  std::memcpy(out.data() + 3, &number, sizeof number);
  return out;
}

// Each task's ID carries its number, so that its result can be checked without a table of what was sent.
TaskId id_of(std::uint64_t number, std::uint64_t run) { return TaskId(run, number); }

class Checker final : public client::Events {
 public:
  Checker(std::uint64_t run, std::size_t size) : run_(run), size_(size) {}
  void on_refused(std::span<const TaskId>, const Error& error, std::optional<std::uint64_t>) override {
    die("refused: " + error.detail);
  }
  void on_lost(const TaskId& task) override { die("main does not know task " + task.text()); }
  void on_result(const ResultItem& item, std::string_view) override {
    if (item.status != TaskStatus::Success)
      die("task " + item.id.text() + " failed: " + std::string(item.error_message));
    const std::string_view data = item.data.value_or("");
    std::uint64_t number = 0;
    if (data.size() != kEchoPrefix.size() + size_ || !data.starts_with(kEchoPrefix)) die("a result of a wrong shape");
    std::memcpy(&number, data.data() + kEchoPrefix.size() + 3, sizeof number);
    if (item.id != id_of(number, run_)) die("a result that belongs to another task");
    if (number >= seen_.size()) seen_.resize(std::max<std::size_t>(number + 1, seen_.size() * 2));
    if (seen_[number]) die("a result came twice");
    seen_[number] = true;
    ++results;
  }
  std::uint64_t results = 0;

 private:
  std::uint64_t run_;
  std::size_t size_;
  std::vector<bool> seen_;
};

// Results of `command`, each of which must say that its program ended well.
class SpawnChecker final : public client::Events {
 public:
  explicit SpawnChecker(std::uint64_t run) : run_(run) {}
  void on_refused(std::span<const TaskId>, const Error& error, std::optional<std::uint64_t>) override {
    die("refused: " + error.detail);
  }
  void on_lost(const TaskId& task) override { die("main does not know task " + task.text()); }
  void on_result(const ResultItem& item, std::string_view) override {
    constexpr std::string_view kEndedWell("\xabreturn_code\x00", 13);
    if (item.status != TaskStatus::Success)
      die("task " + item.id.text() + " failed: " + std::string(item.error_message));
    if (item.data.value_or("").find(kEndedWell) == std::string_view::npos) die("a program did not end well");
    const std::uint64_t number = item.id.low();
    if (item.id.high() != run_ || number >= seen_.size() + 1'000'000) die("a result of no task");
    if (number >= seen_.size()) seen_.resize(number + 1024);
    if (seen_[number]) die("a result came twice");
    seen_[number] = true;
    ++results;
  }
  std::uint64_t results = 0;

 private:
  std::uint64_t run_;
  std::vector<bool> seen_;
};

std::unique_ptr<client::Client> connect(const char* address) {
  const Result<Address> parsed = Address::parse(address);
  if (!parsed.ok()) die(parsed.error().detail);
  client::Options options;
  options.address = parsed.value();
  options.program = "rc_bench_load";
  Result<std::unique_ptr<client::Client>> out = client::Client::connect(options);
  if (!out.ok()) die(out.error().detail);
  return std::move(out).value();
}

std::uint64_t new_run() { return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count()) | 1; }

void poll(client::Client& client, Duration timeout, Checker& checker) {
  const Result<bool> polled = client.poll(timeout, checker);
  if (!polled.ok()) die(polled.error().detail);
}

int throughput(const char* address, double run_seconds, std::uint64_t window, std::size_t size) {
  const auto client = connect(address);
  const std::uint64_t run = new_run();
  Checker checker(run, size);
  TaskSpec spec;
  spec.type = "echo";
  std::uint64_t sent = 0;
  const auto start = Clock::now();
  const auto stop = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(run_seconds));
  auto now = start;
  while (now < stop || checker.results < sent) {
    if (now < stop) {
      for (; sent - checker.results < window; ++sent) client->post(spec, payload(sent, size), {}, id_of(sent, run));
    }
    const std::uint64_t before = checker.results;
    poll(*client, 100ms, checker);
    now = Clock::now();
    if (checker.results == before && now - stop > 60s) die("results are missing: " + std::to_string(sent - before));
  }
  const double took = seconds(Clock::now() - start);
  std::printf("{\"tasks\": %llu, \"seconds\": %.6f}\n", static_cast<unsigned long long>(sent), took);
  return 0;
}

int spawn(const char* address, double run_seconds, std::uint64_t window) {
  const auto client = connect(address);
  const std::uint64_t run = new_run();
  SpawnChecker checker(run);
  TaskSpec spec;
  spec.type = "command";
  const std::string_view runs_true(
      "\x81\xa7"
      "command\x91\xa4"
      "true",
      15);
  std::uint64_t sent = 0;
  const auto start = Clock::now();
  const auto stop = start + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(run_seconds));
  auto now = start;
  while (now < stop || checker.results < sent) {
    if (now < stop) {
      for (; sent - checker.results < window; ++sent) client->post(spec, runs_true, {}, id_of(sent, run));
    }
    const Result<bool> polled = client->poll(100ms, checker);
    if (!polled.ok()) die(polled.error().detail);
    now = Clock::now();
    if (now - stop > 60s) die("results are missing: " + std::to_string(sent - checker.results));
  }
  std::printf("{\"tasks\": %llu, \"seconds\": %.6f}\n", static_cast<unsigned long long>(sent), seconds(now - start));
  return 0;
}

int latency(const char* address, int count, std::size_t size) {
  const auto client = connect(address);
  const std::uint64_t run = new_run();
  Checker checker(run, size);
  TaskSpec spec;
  spec.type = "echo";
  std::vector<double> us;
  const auto begin = Clock::now();
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(count + kNotCounted); ++i) {
    const auto start = Clock::now();
    client->post(spec, payload(i, size), {}, id_of(i, run));
    while (checker.results == i) {
      poll(*client, 1s, checker);
      if (Clock::now() - start > 60s) die("a result is missing");
    }
    if (i >= kNotCounted) us.push_back(seconds(Clock::now() - start) * 1e6);
  }
  const double took = seconds(Clock::now() - begin);
  std::sort(us.begin(), us.end());
  std::printf("{\"tasks\": %d, \"seconds\": %.6f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n", count, took,
              us[us.size() / 2], us[us.size() * 99 / 100]);
  return 0;
}

}  // namespace
}  // namespace retire

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "spawn" && argc == 5) {
    return retire::spawn(argv[2], std::atof(argv[3]), std::strtoull(argv[4], nullptr, 10));
  }
  if (mode == "throughput" && argc == 6) {
    return retire::throughput(argv[2], std::atof(argv[3]), std::strtoull(argv[4], nullptr, 10),
                              std::strtoull(argv[5], nullptr, 10));
  }
  if (mode == "latency" && argc == 5) {
    return retire::latency(argv[2], std::atoi(argv[3]), std::strtoull(argv[4], nullptr, 10));
  }
  std::fprintf(stderr, "usage: see the head of bench/load.cpp\n");
  return 2;
}
