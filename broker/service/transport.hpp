// How frames come to main and leave it: the one thing that the simulation puts something else for.
#pragma once

#include <string>
#include <string_view>

#include "common/net/socket.hpp"

namespace retire::service {

class Transport {
 public:
  virtual ~Transport() = default;
  // The next frame and the connection it came by; `frame` lives until the next call.
  virtual net::Received receive(std::string& peer, std::string_view& frame) = 0;
  // The connection of the frame that was received last.
  virtual net::Connection source() const = 0;
  // Counts the frame in `unsent` until it has left.
  virtual net::Sent send(std::string_view peer, std::string&& frame, const net::Unsent& unsent) = 0;
};

class RouterTransport final : public Transport {
 public:
  explicit RouterTransport(net::Router router) : router_(std::move(router)) {}
  net::Received receive(std::string& peer, std::string_view& frame) override {
    const net::Received received = router_.receive(peer, frame_);
    frame = frame_.bytes();
    return received;
  }
  net::Sent send(std::string_view peer, std::string&& frame, const net::Unsent& unsent) override {
    return router_.send(peer, std::move(frame), unsent);
  }
  net::Connection source() const override { return frame_.source(); }
  const net::Router& router() const { return router_; }

 private:
  net::Router router_;
  net::Frame frame_;
};

}  // namespace retire::service
