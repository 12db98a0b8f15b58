// Load for Redis Streams, on hiredis, pipelined.
//   worker PORT COUNT    XREADGROUP up to COUNT; then RPUSH of the bodies to "results", XACK, XDEL and the next
//                        XREADGROUP in one pipeline
//   client PORT N WINDOW COUNT    one thread adds, WINDOW unanswered; another takes up to COUNT results, checks each
//   ping PORT N    XADD and BLPOP in one pipeline, one at a time
//   fill PORT N WINDOW    XADD only
#include <hiredis/hiredis.h>
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
static constexpr size_t kSize = 64;

[[noreturn]] static void die(const char* m) {
  std::fprintf(stderr, "%s\n", m);
  std::exit(1);
}

struct Conn {
  redisContext* c;
  explicit Conn(int port) {
    c = redisConnect("127.0.0.1", port);
    if (!c || c->err) die("connect");
  }
  redisReply* get() {
    void* r = nullptr;
    if (redisGetReply(c, &r) != REDIS_OK) std::exit(0);
    auto* p = static_cast<redisReply*>(r);
    if (p->type == REDIS_REPLY_ERROR) die(p->str);
    return p;
  }
  void skip() { freeReplyObject(get()); }
  bool buffered() const { return c->reader->pos < c->reader->len; }
};

// task i: its number, then 56 fixed bytes
static const std::string kHead = "*5\r\n$4\r\nXADD\r\n$5\r\ntasks\r\n$1\r\n*\r\n$1\r\nd\r\n$64\r\n";
static void body(char* b, uint64_t i) {
  std::memset(b, 'x', kSize);
  std::memcpy(b, &i, 8);
}
static void add(Conn& p, long i) {
  char b[128];
  size_t h = kHead.size();
  std::memcpy(b, kHead.data(), h);
  body(b + h, uint64_t(i));
  std::memcpy(b + h + kSize, "\r\n", 2);
  redisAppendFormattedCommand(p.c, b, h + kSize + 2);
}

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  std::string mode = argv[1];
  int port = std::atoi(argv[2]);
  long n = std::atol(argv[3]);
  Conn p(port);
  if (mode == "worker") {
    redisAppendCommand(p.c, "XGROUP CREATE tasks g $ MKSTREAM");
    void* r0;
    redisGetReply(p.c, &r0);
    freeReplyObject(r0);
    std::string count = std::to_string(n);
    auto ask = [&] { redisAppendCommand(p.c, "XREADGROUP GROUP g w COUNT %s BLOCK 0 STREAMS tasks >", count.c_str()); };
    std::vector<const char*> av;
    std::vector<size_t> al;
    auto arg = [&](const char* s, size_t k) {
      av.push_back(s);
      al.push_back(k);
    };
    auto word = [&](const char* s) { arg(s, std::strlen(s)); };
    auto send = [&] {
      redisAppendCommandArgv(p.c, int(av.size()), av.data(), al.data());
      av.clear();
      al.clear();
    };
    ask();
    for (;;) {
      redisReply* r = p.get();
      if (r->type != REDIS_REPLY_ARRAY) {
        freeReplyObject(r);
        ask();
        continue;
      }
      redisReply* es = r->element[0]->element[1];
      word("RPUSH");
      word("results");
      for (size_t i = 0; i < es->elements; i++) {
        redisReply* v = es->element[i]->element[1]->element[1];
        arg(v->str, size_t(v->len));
      }
      send();
      for (const char* cmd : {"XACK", "XDEL"}) {
        word(cmd);
        word("tasks");
        if (cmd[1] == 'A') word("g");
        for (size_t i = 0; i < es->elements; i++)
          arg(es->element[i]->element[0]->str, size_t(es->element[i]->element[0]->len));
        send();
      }
      ask();
      freeReplyObject(r);
      p.skip();
      p.skip();
      p.skip();
    }
  }
  if (mode == "client" || mode == "fill") {
    long window = std::atol(argv[4]);
    auto t = clk::now();
    std::thread sub([&] {
      long sent = 0, acked = 0;
      while (acked < n) {
        while (sent < n && sent - acked < window) add(p, sent++);
        do {
          p.skip();
          acked++;
        } while (acked < sent && (p.buffered() || sent - acked > window / 2));
      }
    });
    if (mode == "client") {
      Conn r(port);
      std::vector<bool> seen(size_t(n), false);
      for (long got = 0; got < n;) {
        redisAppendCommand(r.c, "BLMPOP 0 1 results LEFT COUNT %s", argv[5]);
        redisReply* x = r.get();
        redisReply* vs = x->element[1];
        for (size_t i = 0; i < vs->elements; i++, got++) {
          char want[kSize];
          uint64_t k;
          if (size_t(vs->element[i]->len) != kSize) die("wrong size");
          std::memcpy(&k, vs->element[i]->str, 8);
          body(want, k);
          if (k >= uint64_t(n) || seen[k] || std::memcmp(want, vs->element[i]->str, kSize))
            die("wrong or repeated result");
          seen[k] = true;
        }
        freeReplyObject(x);
      }
    }
    sub.join();
    std::printf("{\"n\":%ld,\"seconds\":%.6f}\n", n, since(t));
  } else if (mode == "ping") {
    std::vector<double> lat;
    for (long i = 0; i < n + 100; i++) {
      auto q = clk::now();
      add(p, i);
      redisAppendCommand(p.c, "BLPOP results 0");
      p.skip();
      redisReply* x = p.get();
      if (i >= 100) lat.push_back(since(q) * 1e6);
      char want[kSize];
      body(want, uint64_t(i));
      if (size_t(x->element[1]->len) != kSize || std::memcmp(want, x->element[1]->str, kSize)) die("wrong result");
      freeReplyObject(x);
    }
    std::sort(lat.begin(), lat.end());
    std::printf("{\"n\":%ld,\"p50\":%.1f,\"p99\":%.1f}\n", n, lat[size_t(n / 2)], lat[size_t(double(n) * 0.99)]);
  }
  return 0;
}
