#include "tests/unit/handlers/http_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace retire::test {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

bool read_request(int connection, ServedRequest& request) {
  std::string text;
  std::size_t head_end = std::string::npos;
  std::size_t length = 0;
  char buffer[16384];
  while (head_end == std::string::npos || text.size() < head_end + 4 + length) {
    const ssize_t size = recv(connection, buffer, sizeof(buffer), 0);
    if (size <= 0) return false;
    text.append(buffer, static_cast<std::size_t>(size));
    if (head_end != std::string::npos) continue;
    head_end = text.find("\r\n\r\n");
    if (head_end == std::string::npos) continue;
    std::istringstream head(text.substr(0, head_end));
    std::string line;
    std::getline(head, line);
    std::istringstream(line) >> request.method >> request.target;
    while (std::getline(head, line)) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      const std::size_t colon = line.find(": ");
      if (colon != line.npos) request.headers[lower(line.substr(0, colon))] = line.substr(colon + 2);
    }
    if (request.headers.count("content-length") != 0) length = std::stoul(request.headers["content-length"]);
  }
  request.body = text.substr(head_end + 4);
  return true;
}

}  // namespace

std::string HttpServer::answer(const std::string& status, const std::string& headers, const std::string& body) {
  return "HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\nConnection: close\r\n" +
         headers + "\r\n" + body;
}

HttpServer::HttpServer(Answer answer) : answer_(std::move(answer)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || listen(listener_, 64) != 0 ||
      getsockname(listener_, generic, &size) != 0 || pipe(stop_pipe_) != 0) {
    throw std::runtime_error("no loopback server");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpServer::~HttpServer() {
  close(stop_pipe_[1]);
  thread_.join();
  for (const int connection : held_) close(connection);
  close(stop_pipe_[0]);
  close(listener_);
}

std::string HttpServer::url(const std::string& target, const std::string& host) const {
  return "http://" + host + ":" + std::to_string(port_) + target;
}

std::vector<ServedRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void HttpServer::serve() {
  while (true) {
    pollfd fds[2] = {{listener_, POLLIN, 0}, {stop_pipe_[0], POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[1].revents != 0) return;
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection >= 0) serve_one(connection);
  }
}

void HttpServer::serve_one(int connection) {
  ServedRequest request;
  if (!read_request(connection, request)) {
    close(connection);
    return;
  }
  const std::string answer = answer_(request);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(std::move(request));
  }
  if (answer.empty()) {
    held_.push_back(connection);
    return;
  }
  std::string_view rest = answer;
  while (!rest.empty()) {
    const ssize_t size = send(connection, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (size <= 0) break;
    rest.remove_prefix(static_cast<std::size_t>(size));
  }
  close(connection);
}

}  // namespace retire::test
