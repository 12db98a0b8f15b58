#include "common/net/socket.hpp"

#include <sys/socket.h>
#include <zmq.h>

#include <array>
#include <cerrno>
#include <utility>

namespace retire::net {
namespace {

// Liveness of the connection itself, so that a half-open one is found out by the kernel: asked after 15 s of silence,
// and three times each 5 s; data that is not acknowledged, or not read, for 60 s ends it too. Not by ZMTP's heartbeats:
// libzmq 4.3.4 aborts when a PING is read from a connection that ended while its input was held up (`!_io_error`,
// `_input_stopped`; zeromq/libzmq issues 3937 and 4767), and takes a peer that is held up for a dead one.
constexpr int kKeepaliveIdleSeconds = 15;
constexpr int kKeepaliveIntervalSeconds = 5;
constexpr int kKeepaliveCount = 3;
constexpr int kUnacknowledgedMs = 60'000;
constexpr int kHandshakeMs = 10'000;
constexpr int kReconnectMs = 100;
constexpr int kReconnectMaxMs = 5'000;
constexpr int kBacklog = 4'096;
// What a peer has sent and main has not read yet. Few, as each may have the full size of a message and there may be
// many peers; enough for the batches that wait while main turns its loop once.
constexpr int kUnreadMessagesMax = 64;

void set(void* socket, int option, int value) {
  const int failed = zmq_setsockopt(socket, option, &value, sizeof value);
  RC_ASSERT(failed == 0);
}

void* open(Context& context, int type, const SocketOptions& options) {
  void* socket = zmq_socket(context.handle(), type);
  RC_ASSERT(socket != nullptr);
  set(socket, ZMQ_SNDHWM, options.queue_messages_max);
  set(socket, ZMQ_RCVHWM, options.queue_messages_max);
  set(socket, ZMQ_LINGER, static_cast<int>(options.linger.count() / 1000));
  set(socket, ZMQ_TCP_KEEPALIVE, 1);
  set(socket, ZMQ_TCP_KEEPALIVE_IDLE, kKeepaliveIdleSeconds);
  set(socket, ZMQ_TCP_KEEPALIVE_INTVL, kKeepaliveIntervalSeconds);
  set(socket, ZMQ_TCP_KEEPALIVE_CNT, kKeepaliveCount);
  set(socket, ZMQ_TCP_MAXRT, kUnacknowledgedMs);
  set(socket, ZMQ_HANDSHAKE_IVL, kHandshakeMs);
  set(socket, ZMQ_IPV6, 1);
  const int failed =
      zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &options.message_bytes_max, sizeof options.message_bytes_max);
  RC_ASSERT(failed == 0);
  return socket;
}

struct OwnedFrame {
  std::string bytes;
  Unsent unsent;
};

// Called by libzmq's I/O thread.
void free_frame(void* /*data*/, void* hint) {
  auto* owned = static_cast<OwnedFrame*>(hint);
  if (owned->unsent != nullptr) owned->unsent->remove(owned->bytes.size());
  delete owned;
}

std::string address_at_the_other_end(int descriptor) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return {reinterpret_cast<const char*>(&address), size};
}

}  // namespace

void Connection::end() const {
  if (descriptor < 0 || peer.empty() || address_at_the_other_end(descriptor) != peer) return;
  shutdown(descriptor, SHUT_RDWR);
}

struct Frame::Message {
  zmq_msg_t message;
  Message() { zmq_msg_init(&message); }
  ~Message() { zmq_msg_close(&message); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;
};

Context::Context() : handle_(zmq_ctx_new()) { RC_ASSERT(handle_ != nullptr); }
Context::~Context() {
  while (zmq_ctx_term(handle_) != 0 && errno == EINTR) {
  }
}

Frame::Frame() : message_(std::make_unique<Message>()) {}
Frame::~Frame() = default;
Frame::Frame(Frame&& other) noexcept = default;
Frame& Frame::operator=(Frame&& other) noexcept = default;
std::string_view Frame::bytes() const {
  return {static_cast<const char*>(zmq_msg_data(&message_->message)), zmq_msg_size(&message_->message)};
}

Connection Frame::source() const {
  const int descriptor = zmq_msg_get(&message_->message, ZMQ_SRCFD);
  return {descriptor, descriptor < 0 ? std::string() : address_at_the_other_end(descriptor)};
}

Socket::Socket(Socket&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}
Socket::~Socket() {
  if (handle_ != nullptr) zmq_close(handle_);
}

Received Socket::receive_part(Frame& frame, bool& more) {
  for (;;) {
    if (zmq_msg_recv(&frame.message_->message, handle_, ZMQ_DONTWAIT) >= 0) break;
    if (errno == EINTR) continue;
    RC_ASSERT(errno == EAGAIN);
    return Received::Nothing;
  }
  more = zmq_msg_more(&frame.message_->message) != 0;
  return Received::Message;
}

void Socket::discard_rest(Frame& frame) {
  bool more = true;
  while (more && receive_part(frame, more) == Received::Message) {
  }
}

Sent Socket::send_owned(std::string&& frame, const Unsent& unsent) {
  auto* owned = new OwnedFrame{std::move(frame), unsent};
  if (unsent != nullptr) unsent->add(owned->bytes.size());
  zmq_msg_t message;
  if (zmq_msg_init_data(&message, owned->bytes.data(), owned->bytes.size(), free_frame, owned) != 0) {
    delete owned;
    RC_ASSERT(false);
  }
  for (;;) {
    if (zmq_msg_send(&message, handle_, ZMQ_DONTWAIT) >= 0) return Sent::Yes;
    if (errno == EINTR) continue;
    const int error = errno;
    frame = std::move(owned->bytes);  // given back: nothing was sent
    if (unsent != nullptr) unsent->remove(frame.size());
    owned->unsent = nullptr;
    zmq_msg_close(&message);
    RC_ASSERT(error == EAGAIN || error == EHOSTUNREACH);
    return error == EAGAIN ? Sent::WouldBlock : Sent::NoPeer;
  }
}

Sent Socket::send_frame(Frame&& frame) {
  for (;;) {
    if (zmq_msg_send(&frame.message_->message, handle_, ZMQ_DONTWAIT) >= 0) return Sent::Yes;
    if (errno == EINTR) continue;
    RC_ASSERT(errno == EAGAIN || errno == EHOSTUNREACH);
    return errno == EAGAIN ? Sent::WouldBlock : Sent::NoPeer;
  }
}

Result<Router> Router::bind(Context& context, const Address& address, const SocketOptions& options) {
  Router router(open(context, ZMQ_ROUTER, options), address);
  set(router.handle_, ZMQ_ROUTER_MANDATORY, 1);
  set(router.handle_, ZMQ_BACKLOG, kBacklog);
  set(router.handle_, ZMQ_RCVHWM, kUnreadMessagesMax);
  std::string endpoint = address.endpoint();
  if (address.port == 0) endpoint = endpoint.substr(0, endpoint.size() - 1) + "*";
  if (zmq_bind(router.handle_, endpoint.c_str()) != 0) {
    const int error = errno;
    std::string why = "cannot listen on " + address.text() + ": " + zmq_strerror(error);
    if (error == EADDRINUSE) why += "; another program has this port, choose one with --port (0 takes a free one)";
    if (error == ENODEV || error == EADDRNOTAVAIL) why += "; no such address on this machine, choose one with --host";
    return Error{ErrorCode::Io, why};
  }
  std::array<char, 256> bound{};
  std::size_t size = bound.size();
  if (zmq_getsockopt(router.handle_, ZMQ_LAST_ENDPOINT, bound.data(), &size) == 0) {
    const Result<Address> actual = Address::parse(std::string_view(bound.data()));
    if (actual.ok()) router.address_.port = actual.value().port;
  }
  return router;
}

Received Router::receive(std::string& peer, Frame& frame) {
  bool more = false;
  if (receive_part(frame, more) == Received::Nothing) return Received::Nothing;
  peer = frame.bytes();
  RC_ASSERT(more);  // libzmq puts the routing ID before every message
  if (receive_part(frame, more) != Received::Message) return Received::Malformed;
  if (!more) return Received::Message;
  discard_rest(frame);
  return Received::Malformed;
}

Sent Router::address_to(std::string_view peer) {
  for (;;) {
    if (zmq_send(handle_, peer.data(), peer.size(), ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0) return Sent::Yes;
    if (errno == EINTR) continue;
    RC_ASSERT(errno == EAGAIN || errno == EHOSTUNREACH);
    return errno == EAGAIN ? Sent::WouldBlock : Sent::NoPeer;
  }
}

Sent Router::send(std::string_view peer, std::string&& frame, const Unsent& unsent) {
  const Sent addressed = address_to(peer);
  return addressed == Sent::Yes ? send_owned(std::move(frame), unsent) : addressed;
}

Sent Router::send(std::string_view peer, Frame&& frame) {
  const Sent addressed = address_to(peer);
  return addressed == Sent::Yes ? send_frame(std::move(frame)) : addressed;
}

Result<Dealer> Dealer::connect(Context& context, const Address& address, const SocketOptions& options) {
  Dealer dealer(open(context, ZMQ_DEALER, options));
  set(dealer.handle_, ZMQ_IMMEDIATE, 1);  // nothing gathers for a connection that is not there
  set(dealer.handle_, ZMQ_RECONNECT_IVL, kReconnectMs);
  set(dealer.handle_, ZMQ_RECONNECT_IVL_MAX, kReconnectMaxMs);
  if (zmq_connect(dealer.handle_, address.endpoint().c_str()) != 0) {
    return Error{ErrorCode::Invalid, "address " + address.text() + " cannot be connected to: " + zmq_strerror(errno)};
  }
  return dealer;
}

Received Dealer::receive(Frame& frame) {
  bool more = false;
  if (receive_part(frame, more) == Received::Nothing) return Received::Nothing;
  if (!more) return Received::Message;
  discard_rest(frame);
  return Received::Malformed;
}

Sent Dealer::send(std::string&& frame) { return send_owned(std::move(frame), nullptr); }
Sent Dealer::send(Frame&& frame) { return send_frame(std::move(frame)); }

struct Poller::Items {
  std::vector<zmq_pollitem_t> items;
};

Poller::Poller() : items_(std::make_unique<Items>()) {}
Poller::~Poller() = default;
void Poller::clear() { items_->items.clear(); }
void Poller::add(const Socket& socket) { items_->items.push_back({socket.handle(), 0, ZMQ_POLLIN, 0}); }
void Poller::add(int file_descriptor, bool writable) {
  items_->items.push_back({nullptr, file_descriptor, static_cast<short>(writable ? ZMQ_POLLOUT : ZMQ_POLLIN), 0});
}

bool Poller::wait(Duration timeout) {
  // Rounded up, so that a loop which waits for a deadline does not wake before it and spin.
  const long timeout_ms = timeout < Duration::zero() ? -1 : static_cast<long>((timeout.count() + 999) / 1000);
  const int count = zmq_poll(items_->items.data(), static_cast<int>(items_->items.size()), timeout_ms);
  if (count < 0) {
    RC_ASSERT(errno == EINTR);
    for (zmq_pollitem_t& item : items_->items) item.revents = 0;
    return false;
  }
  return true;
}

bool Poller::ready(std::size_t index) const { return items_->items.at(index).revents != 0; }

}  // namespace retire::net
