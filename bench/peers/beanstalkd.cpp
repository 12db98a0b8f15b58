// Load for beanstalkd, on raw sockets, pipelined.
//   worker PORT DEPTH    reserves from "tasks", puts the body to "results", deletes; DEPTH reserves a round trip
//   client PORT N WINDOW DEPTH    one thread puts, pipelined; another reserves and deletes results, DEPTH a round trip
//   ping PORT N    put, reserve the result, delete; one at a time
//   fill PORT N    puts only
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>
using clk = std::chrono::steady_clock;
static double since(clk::time_point t) { return std::chrono::duration<double>(clk::now() - t).count(); }
static const std::string kPayload(64, 'x');

struct Conn {
  int fd;
  std::string in, out;
  size_t pos = 0;
  explicit Conn(int port) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
    int one = 1;
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(uint16_t(port));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a)) {
      std::perror("connect");
      std::exit(1);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  }
  void flush() {
    size_t p = 0;
    while (p < out.size()) {
      ssize_t k = write(fd, out.data() + p, out.size() - p);
      if (k <= 0) {
        std::perror("write");
        std::exit(1);
      }
      p += size_t(k);
    }
    out.clear();
  }
  void fill() {
    if (pos) {
      in.erase(0, pos);
      pos = 0;
    }
    char b[65536];
    ssize_t k = read(fd, b, sizeof b);
    if (k <= 0) std::exit(0);
    in.append(b, size_t(k));
  }
  bool buffered() const { return in.find("\r\n", pos) != std::string::npos; }
  std::string line() {
    for (;;) {
      size_t e = in.find("\r\n", pos);
      if (e != std::string::npos) {
        std::string l = in.substr(pos, e - pos);
        pos = e + 2;
        return l;
      }
      fill();
    }
  }
  std::string body(size_t n) {
    while (in.size() - pos < n + 2) fill();
    std::string b = in.substr(pos, n);
    pos += n + 2;
    return b;
  }
  void cmd(const std::string& c, const char* want) {
    out += c;
    flush();
    std::string l = line();
    if (l.compare(0, std::strlen(want), want)) {
      std::fprintf(stderr, "%s -> %s\n", c.c_str(), l.c_str());
      std::exit(1);
    }
  }
  void put(const std::string& b) { out += "put 100 0 600 " + std::to_string(b.size()) + "\r\n" + b + "\r\n"; }
  // one reply to a reserve; false when it timed out
  bool reserved(std::string& id, std::string& b) {
    std::string l = line();
    if (l.compare(0, 9, "RESERVED ")) return false;
    size_t s = l.find(' ', 9);
    id = l.substr(9, s - 9);
    b = body(size_t(std::atol(l.c_str() + s + 1)));
    return true;
  }
};

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::string mode = argv[1];
  int port = std::atoi(argv[2]);
  long n = std::atol(argv[3]);
  if (mode == "worker") {
    int depth = int(n);
    Conn c(port);
    c.cmd("watch tasks\r\n", "WATCHING");
    c.cmd("ignore default\r\n", "WATCHING");
    c.cmd("use results\r\n", "USING");
    int asked = 1, acks = 0;
    c.out = "reserve\r\n";
    for (;;) {
      c.flush();
      for (; acks; acks--) c.line();  // INSERTED / DELETED of the round before
      std::vector<std::pair<std::string, std::string>> jobs;
      for (int i = 0; i < asked; i++) {
        std::string id, b;
        if (c.reserved(id, b)) jobs.emplace_back(id, b);
      }
      for (auto& j : jobs) {
        c.put(j.second);
        c.out += "delete " + j.first + "\r\n";
        acks += 2;
      }
      asked = jobs.empty() || depth == 1 ? 1 : depth;
      for (int i = 0; i < asked; i++) c.out += asked == 1 ? "reserve\r\n" : "reserve-with-timeout 0\r\n";
    }
  }
  Conn p(port);
  p.cmd("use tasks\r\n", "USING");
  if (mode == "client" || mode == "fill") {
    long window = mode == "fill" ? 1000 : std::atol(argv[4]);
    auto t = clk::now();
    std::thread sub([&] {
      long sent = 0, acked = 0;
      while (acked < n) {
        while (sent < n && sent - acked < window) {
          p.put(kPayload);
          sent++;
        }
        p.flush();
        do {
          if (p.line().compare(0, 8, "INSERTED")) std::exit(3);
          acked++;
        } while (acked < sent && (p.buffered() || sent - acked > window / 2));
      }
    });
    if (mode == "client") {
      int depth = std::atoi(argv[5]);
      Conn r(port);
      r.cmd("watch results\r\n", "WATCHING");
      r.cmd("ignore default\r\n", "WATCHING");
      long got = 0;
      int asked = 1, acks = 0;
      r.out = "reserve\r\n";
      while (got < n) {
        r.flush();
        for (; acks; acks--) r.line();
        int now = 0;
        for (int i = 0; i < asked; i++) {
          std::string id, b;
          if (!r.reserved(id, b)) continue;
          r.out += "delete " + id + "\r\n";
          now++;
        }
        got += now;
        acks = now;
        if (got >= n) break;
        asked = now == 0 ? 1 : depth;
        for (int i = 0; i < asked; i++) r.out += asked == 1 ? "reserve\r\n" : "reserve-with-timeout 0\r\n";
      }
      r.flush();
      for (; acks; acks--) r.line();
    }
    sub.join();
    std::printf("{\"n\":%ld,\"seconds\":%.6f}\n", n, since(t));
  } else if (mode == "ping") {
    Conn r(port);
    r.cmd("watch results\r\n", "WATCHING");
    r.cmd("ignore default\r\n", "WATCHING");
    std::vector<double> lat;
    for (long i = 0; i < n + 100; i++) {
      std::string id, b;
      auto q = clk::now();
      p.put(kPayload);
      p.flush();
      p.line();
      r.out = "reserve\r\n";
      r.flush();
      if (!r.reserved(id, b)) return 1;
      if (i >= 100) lat.push_back(since(q) * 1e6);
      r.cmd("delete " + id + "\r\n", "DELETED");
    }
    std::sort(lat.begin(), lat.end());
    std::printf("{\"n\":%ld,\"p50\":%.1f,\"p99\":%.1f}\n", n, lat[size_t(n / 2)], lat[size_t(double(n) * 0.99)]);
  }
  return 0;
}
