// Load for gearmand.
//   worker PORT    echo worker on libgearman, one job at a time
//   rawworker PORT DEPTH    echo worker on a raw socket that keeps DEPTH GRAB_JOB requests outstanding
//   fg PORT N WINDOW    foreground jobs through libgearman's add_task and run_tasks, WINDOW tasks at a time
//   rawfg PORT N WINDOW    foreground jobs on a raw socket, pipelined, WINDOW in flight
//   ping PORT N    gearman_client_do, one at a time
//   bg PORT N    N background jobs on a raw socket, pipelined
#include <arpa/inet.h>
#include <libgearman/gearman.h>
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
#include <vector>
using clk = std::chrono::steady_clock;
static double since(clk::time_point t) { return std::chrono::duration<double>(clk::now() - t).count(); }
static const std::string kPayload(64, 'x');

static void* echo(gearman_job_st* job, void*, size_t* size, gearman_return_t* ret) {
  size_t n = gearman_job_workload_size(job);
  void* r = std::malloc(n);
  std::memcpy(r, gearman_job_workload(job), n);
  *size = n;
  *ret = GEARMAN_SUCCESS;
  return r;
}

// --- the wire protocol, for the pipelined variants ---
static int dial(int port) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a)) {
    std::perror("connect");
    std::exit(1);
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}
static void put(std::string& o, uint32_t type, const std::string& body) {
  uint32_t t = htonl(type), n = htonl(uint32_t(body.size()));
  o.append("\0REQ", 4);
  o.append(reinterpret_cast<char*>(&t), 4);
  o.append(reinterpret_cast<char*>(&n), 4);
  o += body;
}
static void flush(int fd, std::string& o) {
  size_t p = 0;
  while (p < o.size()) {
    ssize_t k = write(fd, o.data() + p, o.size() - p);
    if (k <= 0) {
      std::perror("write");
      std::exit(1);
    }
    p += size_t(k);
  }
  o.clear();
}
struct Reader {
  int fd;
  std::vector<char> b = std::vector<char>(1 << 20);
  size_t r = 0, w = 0;
  bool next(uint32_t& type, const char*& body, uint32_t& len) {  // a packet already in the buffer
    if (w - r < 12) return false;
    std::memcpy(&type, &b[r + 4], 4);
    std::memcpy(&len, &b[r + 8], 4);
    type = ntohl(type);
    len = ntohl(len);
    if (w - r < 12 + len) return false;
    body = &b[r + 12];
    r += 12 + len;
    return true;
  }
  void fill() {
    if (r) {
      std::memmove(b.data(), &b[r], w - r);
      w -= r;
      r = 0;
    }
    ssize_t k = read(fd, &b[w], b.size() - w);
    if (k <= 0) {
      std::perror("read");
      std::exit(1);
    }
    w += size_t(k);
  }
};

static long g_done;
static gearman_return_t on_complete(gearman_task_st* t) {
  if (gearman_task_data_size(t) == kPayload.size()) g_done++;
  return GEARMAN_SUCCESS;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  std::string mode = argv[1];
  int port = std::atoi(argv[2]);
  std::string submit = std::string("echo\0\0", 6) + kPayload;
  if (mode == "worker") {
    gearman_worker_st* w = gearman_worker_create(nullptr);
    gearman_worker_add_server(w, "127.0.0.1", in_port_t(port));
    gearman_worker_add_function(w, "echo", 0, echo, nullptr);
    while (gearman_worker_work(w) == GEARMAN_SUCCESS) {
    }
  } else if (mode == "rawworker") {
    int depth = std::atoi(argv[3]), fd = dial(port);
    std::string o;
    put(o, 1, "echo");                              // CAN_DO
    for (int i = 0; i < depth; i++) put(o, 9, "");  // GRAB_JOB
    flush(fd, o);
    Reader in{fd};
    int out = depth;
    for (;;) {
      uint32_t t, n;
      const char* b;
      while (in.next(t, b, n)) {
        if (t == 11) {  // JOB_ASSIGN: handle\0function\0workload
          size_t h = std::strlen(b), f = std::strlen(b + h + 1);
          const char* p = b + h + 1 + f + 1;
          put(o, 13, std::string(b, h + 1) + std::string(p, n - size_t(p - b)));  // WORK_COMPLETE
          put(o, 9, "");
        } else if (t == 10) {             // NO_JOB
          if (--out == 0) put(o, 4, "");  // PRE_SLEEP
        } else if (t == 6) {              // NOOP
          while (out < depth) {
            put(o, 9, "");
            out++;
          }
        }
      }
      if (!o.empty()) flush(fd, o);
      in.fill();
    }
  } else if (mode == "fg") {
    long n = std::atol(argv[3]), window = std::atol(argv[4]);
    gearman_client_st* c = gearman_client_create(nullptr);
    gearman_client_add_server(c, "127.0.0.1", in_port_t(port));
    gearman_client_add_options(c, GEARMAN_CLIENT_FREE_TASKS);
    gearman_client_set_complete_fn(c, on_complete);
    auto t = clk::now();
    for (long i = 0; i < n; i += window) {
      gearman_return_t rc;
      for (long j = 0; j < window; j++)
        gearman_client_add_task(c, nullptr, nullptr, "echo", nullptr, kPayload.data(), kPayload.size(), &rc);
      if (gearman_client_run_tasks(c) != GEARMAN_SUCCESS) {
        std::fprintf(stderr, "%s\n", gearman_client_error(c));
        return 1;
      }
    }
    double s = since(t);
    if (g_done < n) {
      std::fprintf(stderr, "done %ld of %ld\n", g_done, n);
      return 1;
    }
    std::printf("{\"n\":%ld,\"seconds\":%.6f}\n", g_done, s);
  } else if (mode == "rawfg" || mode == "bg") {
    bool bg = mode == "bg";
    long n = std::atol(argv[3]), window = bg ? 20000 : std::atol(argv[4]), sent = 0, done = 0;
    int fd = dial(port);
    Reader in{fd};
    std::string o;
    char num[24];
    long sum = 0;
    auto t = clk::now();
    while (done < n) {
      for (int k = 0; k < 500 && sent < n && sent - done < window; k++, sent++) {
        std::snprintf(num, sizeof num, "%010ld", sent);  // every task differs, and the results are summed
        submit.replace(6, 10, num, 10);
        put(o, bg ? 18 : 7, submit);
      }
      if (!o.empty()) flush(fd, o);
      uint32_t ty, len;
      const char* b;
      bool any = false;
      for (;;) {
        while (in.next(ty, b, len)) {
          if (bg ? ty == 8 : ty == 13) {
            done++;
            any = true;
            if (!bg) sum += std::atol(std::string(b + std::strlen(b) + 1, 10).c_str());
          } else if (ty == 14 || ty == 19) {
            std::fprintf(stderr, "packet %u\n", ty);
            return 1;
          }
        }
        if (any || (sent < n && sent - done < window)) break;
        in.fill();
      }
      if (sent - done >= window || sent == n) {
        if (done < n) in.fill();
      }
    }
    double s = since(t);
    if (!bg && sum != n * (n - 1) / 2) {
      std::fprintf(stderr, "wrong results\n");
      return 1;
    }
    std::printf("{\"n\":%ld,\"seconds\":%.6f}\n", done, s);
  } else if (mode == "ping") {
    long n = std::atol(argv[3]);
    gearman_client_st* c = gearman_client_create(nullptr);
    gearman_client_add_server(c, "127.0.0.1", in_port_t(port));
    std::vector<double> lat;
    for (long i = 0; i < n + 100; i++) {
      size_t rs;
      gearman_return_t rc;
      auto q = clk::now();
      void* r = gearman_client_do(c, "echo", nullptr, kPayload.data(), kPayload.size(), &rs, &rc);
      if (rc != GEARMAN_SUCCESS || rs != kPayload.size()) {
        std::fprintf(stderr, "%s\n", gearman_client_error(c));
        return 1;
      }
      std::free(r);
      if (i >= 100) lat.push_back(since(q) * 1e6);
    }
    std::sort(lat.begin(), lat.end());
    std::printf("{\"n\":%ld,\"p50\":%.1f,\"p99\":%.1f}\n", n, lat[size_t(n / 2)], lat[size_t(double(n) * 0.99)]);
  }
  return 0;
}
