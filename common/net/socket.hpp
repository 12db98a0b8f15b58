// ROUTER and DEALER sockets of one-frame messages. The only folder that includes zmq.
//
// Threads: a socket belongs to the thread that uses it. Ownership: every socket must be gone before its Context is.
// Nothing here blocks but Poller::wait().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.hpp"
#include "common/base/time.hpp"
#include "common/net/address.hpp"

namespace retire::net {

// libzmq's I/O thread and what it holds.
class Context {
 public:
  Context();
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  void* handle() const { return handle_; }

 private:
  void* handle_;
};

// The TCP connection that a frame came by. libzmq has no call that ends one connection of a ROUTER socket, and what
// waits in it for a peer that does not read is only freed when the connection ends.
struct Connection {
  int descriptor = -1;  // libzmq's; -1: not known
  std::string peer;     // the address at its other end, as getpeername gives it

  // Shuts it down, in both directions; libzmq does the rest. Nothing happens if the descriptor has become another's
  // meanwhile: then the address at the other end is another one.
  void end() const;
};

// A received frame; its bytes live as long as it does.
class Frame {
 public:
  Frame();
  ~Frame();
  Frame(Frame&& other) noexcept;
  Frame& operator=(Frame&& other) noexcept;
  std::string_view bytes() const;
  Connection source() const;  // of a frame that was received

 private:
  friend class Socket;
  struct Message;
  std::unique_ptr<Message> message_;
};

// What is not sent stays in the caller's string, to be sent later.
enum class Sent {
  Yes,
  WouldBlock,  // the peer's queue is full: nothing was sent
  NoPeer       // the connection is gone (ROUTER only): nothing was sent
};

enum class Received {
  Message,
  Nothing,
  Malformed  // a message of several frames, or over the size limit; it was read over and is gone
};

struct SocketOptions {
  int queue_messages_max = 1000;                            // high-water mark, each way and each peer
  Duration linger = std::chrono::seconds(1);                // how long closing may wait for what is still to be sent
  std::int64_t message_bytes_max = std::int64_t{32} << 20;  // a peer that sends more is disconnected
};

// Bytes of frames that were given to the socket and that it has not passed on to the system yet: of one peer, and, in
// the counter that several share, of all of them. A high-water mark counts messages of any size; whoever must bound
// memory counts bytes. Changed by libzmq's I/O thread too.
class UnsentBytes {
 public:
  using Total = std::shared_ptr<std::atomic<std::size_t>>;
  explicit UnsentBytes(Total total = nullptr) : total_(std::move(total)) {}
  void add(std::size_t bytes) {
    bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (total_ != nullptr) total_->fetch_add(bytes, std::memory_order_relaxed);
  }
  void remove(std::size_t bytes) {
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    if (total_ != nullptr) total_->fetch_sub(bytes, std::memory_order_relaxed);
  }
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> bytes_{0};
  Total total_;
};
using Unsent = std::shared_ptr<UnsentBytes>;

class Socket {
 public:
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();
  void* handle() const { return handle_; }

 protected:
  explicit Socket(void* handle) : handle_(handle) {}
  Received receive_part(Frame& frame, bool& more);
  Sent send_owned(std::string&& frame, const Unsent& unsent);
  Sent send_frame(Frame&& frame);
  void discard_rest(Frame& frame);
  void* handle_;
};

// Main's end. `Peer` is the connection's routing ID, which is random and means nothing.
class Router : public Socket {
 public:
  // Port 0 takes a free one; address() says which. Errors: Io (in use, no such host), naming the address and what to
  // do.
  static Result<Router> bind(Context& context, const Address& address, const SocketOptions& options);
  const Address& address() const { return address_; }

  Received receive(std::string& peer, Frame& frame);
  // Counts the frame in `unsent` for as long as the socket keeps it; null: not counted.
  Sent send(std::string_view peer, std::string&& frame, const Unsent& unsent = nullptr);
  Sent send(std::string_view peer, Frame&& frame);  // passes on what was received, without a copy

 private:
  Sent address_to(std::string_view peer);
  Router(void* handle, Address address) : Socket(handle), address_(std::move(address)) {}
  Address address_;
};

// A peer's end. Connects in the background, and again when the connection breaks.
class Dealer : public Socket {
 public:
  // Errors: Invalid for an address that cannot be one.
  static Result<Dealer> connect(Context& context, const Address& address, const SocketOptions& options);

  Received receive(Frame& frame);
  Sent send(std::string&& frame);  // WouldBlock also while there is no connection
  Sent send(Frame&& frame);        // passes on what was received, without a copy

 private:
  explicit Dealer(void* handle) : Socket(handle) {}
};

// Waits for sockets and file descriptors.
class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void clear();
  void add(const Socket& socket);                        // readable
  void add(int file_descriptor, bool writable = false);  // readable, or else writable
  // Until something is ready or `timeout` is over (negative: no end). False if interrupted by a signal.
  bool wait(Duration timeout);
  // Of the i-th that was added, counted from 0.
  bool ready(std::size_t index) const;

 private:
  struct Items;
  std::unique_ptr<Items> items_;
};

}  // namespace retire::net
