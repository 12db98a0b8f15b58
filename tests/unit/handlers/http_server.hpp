// A tiny HTTP server on 127.0.0.1, inside the test's process.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace retire::test {

struct ServedRequest {
  std::string method;
  std::string target;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

class HttpServer {
 public:
  // Gives the whole answer, status line included; an empty one leaves the client waiting.
  using Answer = std::function<std::string(const ServedRequest&)>;

  explicit HttpServer(Answer answer);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& target = "/", const std::string& host = "127.0.0.1") const;
  int port() const { return port_; }
  std::vector<ServedRequest> requests() const;  // so far
  std::size_t request_count() const { return requests().size(); }

  static std::string answer(const std::string& status, const std::string& headers, const std::string& body);

 private:
  void serve();
  void serve_one(int connection);

  Answer answer_;
  int listener_ = -1;
  int stop_pipe_[2] = {-1, -1};
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<ServedRequest> requests_;
  std::vector<int> held_;  // connections left without an answer
  std::thread thread_;
};

}  // namespace retire::test
