// A plugin that does what no handler should: "how" in the payload's place is a string that says what.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <retire_cluster/plugin.hpp>
#include <stdexcept>
#include <string>
#include <thread>

namespace rc = retire_cluster;

namespace {

std::string as_text(const msgpack::object& payload) {
  return payload.type == msgpack::type::STR ? std::string(payload.via.str.ptr, payload.via.str.size) : "";
}

// "how", or {"how": …}
std::string torture(const msgpack::object& payload, rc::Context& context) {
  const std::string how = as_text(payload);
  if (how == "ok") return "fine";
  if (how == "segfault") {
    std::fputs("about to fall\nnow\n", stderr);
    signal(SIGSEGV, SIG_DFL);  // a sanitizer would turn it into an exit
    raise(SIGSEGV);
  }
  if (how == "abort") std::abort();
  if (how == "sigkill") kill(getpid(), SIGKILL);
  if (how == "exit0") std::_Exit(0);
  if (how == "exit3") std::_Exit(3);
  if (how == "throw") throw std::runtime_error("thrown");
  if (how == "permanent") throw rc::PermanentError("never");
  if (how == "hang") {
    context.log(RC_LOG_INFO, "hanging");
    for (;;) pause();
  }
  if (how == "wait") {
    if (context.wait(3600)) throw rc::Cancelled();
  }
  if (how == "flood") {
    const std::string line(1023, 'f');
    for (int i = 0; i < 20'000; ++i) std::puts(line.c_str());
    std::puts("the last line");
    std::fflush(stdout);
    std::_Exit(9);
  }
  if (how == "noisy") {
    for (int i = 0; i < 20'000; ++i) std::puts("noise");
    std::fflush(stdout);
    return "quiet again";
  }
  if (how == "logs") {
    for (int i = 0; i < 20'000; ++i) context.info("line " + std::to_string(i));
    return "logged";
  }
  if (how == "longlogs") {
    for (int i = 0; i < 400; ++i) context.warning(std::string(20'000, 'w'));
    return "logged";
  }
  if (how == "badlog") {
    context.info("not \xff utf-8 \xc3");
    throw std::runtime_error("bad \xfe text");
  }
  if (how == "huge") return std::string(std::size_t{17} << 20, 'h');
  if (how == "large") return std::string(std::size_t{15} << 20, 'l');
  if (how == "middle") return std::string(std::size_t{300} << 10, 'm');
  if (how == "orphan") {  // leaves a process of its group behind
    if (fork() == 0) {
      for (;;) pause();
    }
    std::_Exit(4);
  }
  if (how == "env") return std::getenv("RETIRE_CLUSTER_TOKEN") == nullptr ? "clean" : "leaked";
  if (how == "fds") {
    std::string open;
    for (int i = 0; i < 256; ++i) {
      if (dup2(i, i) == i) open += (open.empty() ? "" : ",") + std::to_string(i);
    }
    return open;
  }
  if (how == "pid") return std::to_string(getpid());
  if (how == "session") return getsid(0) == getpid() && getpgrp() == getpid() ? "own" : "shared";
  if (how == "left") return std::to_string(context.seconds_left());
  if (how == "id") return std::string(context.task_id()) + " " + std::to_string(context.attempt());
  if (how == "threads") {
    std::thread other([&] { context.info("from another thread"); });
    other.join();
    return "joined";
  }
  return "?";
}

}  // namespace

RC_PLUGIN("torture", "1",
          rc::handler("torture", "Does what it is told",
                      [](const msgpack::object& payload, rc::Context& context) { return torture(payload, context); }));
