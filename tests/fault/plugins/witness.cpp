// A plugin that leaves a trace of each execution, so that a test can count them whatever became of the task.
//
// Payload: {"key": str, "file": str, "work_ms": uint, "how": "ok" | "fail" | "fail_first"}, and `pad`, which is
// ignored. Appends `begin TASK-ID ATTEMPT NAME` to the file, works, appends `end NAME`, and returns {"key",
// "execution": NAME}. NAME is different for each execution.
#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <retire_cluster/plugin.hpp>
#include <stdexcept>
#include <string>

namespace rc = retire_cluster;

namespace {

// One write: lines of several processes do not mix, and one that was killed leaves none by halves.
void append(const std::string& path, const std::string& line) {
  const int file = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (file < 0) throw std::runtime_error("cannot open " + path + ": " + std::strerror(errno));
  const ssize_t written = ::write(file, line.data(), line.size());
  ::close(file);
  if (written != static_cast<ssize_t>(line.size())) throw std::runtime_error("cannot write to " + path);
}

std::string new_name() {
  std::uint64_t random[2] = {};
  if (::getrandom(random, sizeof random, 0) != sizeof random) throw std::runtime_error("no random numbers");
  char text[40];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(random[0]),
                static_cast<unsigned long long>(random[1]));
  return text;
}

std::map<std::string, std::string> witness(const msgpack::object& payload, rc::Context& context) {
  const rc::Fields fields(payload, {"key", "file", "work_ms", "how", "pad"});
  const std::string file(fields.text("file"));
  const std::string_view how = fields.text("how");
  const std::string name = new_name();
  append(file, "begin " + std::string(context.task_id()) + " " + std::to_string(context.attempt()) + " " + name + "\n");
  if (context.wait(fields.number("work_ms") / 1000)) throw rc::Cancelled();
  append(file, "end " + name + "\n");
  if (how == "fail" || (how == "fail_first" && context.attempt() == 1)) throw std::runtime_error("as it was told");
  return {{"key", std::string(fields.text("key"))}, {"execution", name}};
}

}  // namespace

RC_PLUGIN("witness", "1",
          rc::handler("witness", "Leaves a trace of each execution",
                      [](const msgpack::object& payload, rc::Context& context) { return witness(payload, context); }))
