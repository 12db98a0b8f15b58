#include "worker/service/connection_test.hpp"

#include <random>

#include "common/protocol/codec.hpp"

namespace retire::worker {

Result<std::string> try_connection(const Address& main, Duration timeout) {
  net::Context context;
  net::SocketOptions socket_options;
  socket_options.linger = Duration::zero();
  Result<net::Dealer> dealer = net::Dealer::connect(context, main, socket_options);
  if (!dealer.ok()) return dealer.error();
  std::random_device random;
  Hello hello;
  hello.program = "retire-cluster-worker " RC_VERSION;
  hello.instance = Uuid::random(random(), random());
  std::string frame;
  protocol::encode(frame, 1, hello);

  const TimePoint until = SystemClock::now().monotonic + timeout;
  bool sent = false;
  for (TimePoint now = SystemClock::now().monotonic; now < until; now = SystemClock::now().monotonic) {
    if (!sent) sent = dealer.value().send(std::string(frame)) == net::Sent::Yes;
    net::Poller poller;
    poller.add(dealer.value());
    poller.wait(std::min<Duration>(until - now, std::chrono::milliseconds(20)));
    net::Frame answer;
    if (dealer.value().receive(answer) != net::Received::Message) continue;
    std::uint64_t correlation = 0;
    const Result<protocol::Envelope> envelope = protocol::decode_envelope(answer.bytes(), correlation);
    if (!envelope.ok()) return Error{ErrorCode::Unreachable, main.text() + " answers, but not as main does"};
    if (envelope.value().type == MessageType::Welcome) {
      Welcome welcome;
      if (!protocol::decode(envelope.value().body, welcome).ok()) break;
      return welcome.program;
    }
    if (envelope.value().type == MessageType::Error) {
      ErrorReply error;
      if (protocol::decode(envelope.value().body, error).ok()) return Error{error.code, error.message};
    }
  }
  return Error{ErrorCode::Unreachable, "no main answers at " + main.text() + " within " +
                                           std::to_string(to_seconds(timeout)).substr(0, 4) +
                                           " s; check the address and that retire-cluster-main runs there"};
}

}  // namespace retire::worker
