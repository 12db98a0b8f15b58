// The wire's limit: a relay over the same sockets, with no tasks, no queue and no acknowledgement.
//   rc_bench_relay broker                      one ROUTER; prints its port
//   rc_bench_relay worker PORT                 sends back whatever comes
//   rc_bench_relay client PORT N WINDOW BATCH  N messages of BATCH × 120 bytes, WINDOW in flight; checks each
//   rc_bench_relay ping PORT N                 one message at a time
// A message begins with 8 bytes that name its client, so that the relay needs no table. Each client and worker prints
// one line of JSON.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/net/socket.hpp"

namespace retire {
namespace {

constexpr std::size_t kTaskBytes = 120;
constexpr std::size_t kNameBytes = 8;
constexpr int kPingsNotCounted = 200;
constexpr std::string_view kHelloWorker = "worker";
constexpr std::string_view kHelloClient = "client";

net::SocketOptions options() {
  net::SocketOptions out;
  out.queue_messages_max = 0;  // none: the window bounds what is in flight
  out.linger = Duration::zero();
  return out;
}

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "relay: %s\n", what.c_str());
  std::exit(1);
}

template <class T>
T must(Result<T> result) {
  if (!result.ok()) die(result.error().detail);
  return std::move(result).value();
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void wait_for(const net::Socket& socket) {
  net::Poller poller;
  poller.add(socket);
  poller.wait(Duration(-1));
}

void run_broker(net::Context& context) {
  net::Router router = must(net::Router::bind(context, {"127.0.0.1", 0}, options()));
  std::printf("%u\n", router.address().port);
  std::fflush(stdout);
  std::string worker;
  std::unordered_map<std::string, std::string> clients;  // routing ID by name
  std::string peer;
  net::Frame frame;
  for (;;) {
    wait_for(router);
    while (router.receive(peer, frame) == net::Received::Message) {
      const std::string_view bytes = frame.bytes();
      if (bytes.size() == kHelloWorker.size()) {
        (bytes == kHelloWorker) ? void(worker = peer) : void();
        continue;
      }
      if (bytes.size() == kHelloClient.size() + kNameBytes) {
        clients[std::string(bytes.substr(kHelloClient.size()))] = peer;
        continue;
      }
      const bool from_worker = peer == worker;
      const std::string& to = from_worker ? clients[std::string(bytes.substr(0, kNameBytes))] : worker;
      if (router.send(to, std::move(frame)) != net::Sent::Yes) die("a message could not be sent");
    }
  }
}

net::Dealer connect(net::Context& context, const char* port) {
  return must(net::Dealer::connect(context, {"127.0.0.1", static_cast<std::uint16_t>(std::atoi(port))}, options()));
}

void send(net::Dealer& dealer, std::string&& bytes) {
  while (dealer.send(std::move(bytes)) == net::Sent::WouldBlock) {  // not connected yet
    net::Poller poller;
    poller.wait(std::chrono::milliseconds(1));
  }
}

void run_worker(net::Context& context, const char* port) {
  net::Dealer dealer = connect(context, port);
  send(dealer, std::string(kHelloWorker));
  net::Frame frame;
  for (;;) {
    wait_for(dealer);
    while (dealer.receive(frame) == net::Received::Message) {
      if (dealer.send(std::move(frame)) != net::Sent::Yes) die("a message could not be sent");
    }
  }
}

std::string hello_client(net::Dealer& dealer) {
  std::string name = "c" + std::to_string(std::chrono::steady_clock::now().time_since_epoch().count() % 10'000'000);
  name.resize(kNameBytes, '_');
  send(dealer, std::string(kHelloClient) + name);
  return name;
}

void run_client(net::Context& context, const char* port, long count, long window, long batch) {
  net::Dealer dealer = connect(context, port);
  const std::string name = hello_client(dealer);
  const std::size_t size = kTaskBytes * static_cast<std::size_t>(batch);
  long sent = 0;
  long received = 0;
  net::Frame frame;
  const auto start = std::chrono::steady_clock::now();
  while (received < count) {
    for (; sent < count && sent - received < window; ++sent) {
      std::string message(size, 'x');
      std::memcpy(message.data(), name.data(), kNameBytes);
      send(dealer, std::move(message));
    }
    wait_for(dealer);
    while (received < count && dealer.receive(frame) == net::Received::Message) {
      if (frame.bytes().size() != size || frame.bytes().substr(0, kNameBytes) != name) die("a wrong message came back");
      ++received;
      if (sent < count && sent - received < window / 2) break;
    }
  }
  std::printf("{\"messages\": %ld, \"seconds\": %.6f}\n", count, seconds_since(start));
}

void run_ping(net::Context& context, const char* port, long count) {
  net::Dealer dealer = connect(context, port);
  const std::string name = hello_client(dealer);
  std::vector<double> us;
  net::Frame frame;
  for (long i = 0; i < count + kPingsNotCounted; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::string message(kTaskBytes, 'x');
    std::memcpy(message.data(), name.data(), kNameBytes);
    send(dealer, std::move(message));
    while (dealer.receive(frame) != net::Received::Message) wait_for(dealer);
    if (frame.bytes().size() != kTaskBytes) die("a wrong message came back");
    if (i >= kPingsNotCounted) us.push_back(seconds_since(start) * 1e6);
  }
  std::sort(us.begin(), us.end());
  std::printf("{\"p50_us\": %.1f, \"p99_us\": %.1f}\n", us[us.size() / 2], us[us.size() * 99 / 100]);
}

}  // namespace
}  // namespace retire

int main(int argc, char** argv) {
  retire::net::Context context;
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "broker") {
    retire::run_broker(context);
  } else if (mode == "worker" && argc == 3) {
    retire::run_worker(context, argv[2]);
  } else if (mode == "client" && argc == 6) {
    retire::run_client(context, argv[2], std::atol(argv[3]), std::atol(argv[4]), std::atol(argv[5]));
  } else if (mode == "ping" && argc == 4) {
    retire::run_ping(context, argv[2], std::atol(argv[3]));
  } else {
    std::fprintf(stderr, "usage: see the head of bench/relay.cpp\n");
    return 2;
  }
  return 0;
}
