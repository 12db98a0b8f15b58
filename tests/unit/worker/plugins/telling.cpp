// A plugin that tells what its payload says: a list of steps, each a map with one of
//   {"log": text, "count": n} {"progress": fraction, "text": t} {"checkpoint": text} {"checkpoint_bytes": n}
//   {"wait_for": file} {"scratch": file name} {"thread": text} {"fail": text} {"crash": true} {"hang": true}
// and maybe {"attempt": n}: only in that one. Gives what it was handed.
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <retire_cluster/plugin.hpp>
#include <stdexcept>
#include <string>
#include <thread>

namespace rc = retire_cluster;

namespace {

void take(const msgpack::object& step, rc::Context& context, std::map<std::string, std::string>& said) {
  const rc::Fields fields(step, {"log", "count", "progress", "text", "checkpoint", "checkpoint_bytes", "wait_for",
                                 "scratch", "thread", "fail", "crash", "hang", "attempt"});
  if (fields.integer_or("attempt", context.attempt(), 1, 1'000) != context.attempt()) return;
  if (fields.find("log")) {
    const std::string line(fields.text("log"));
    const std::int64_t count = fields.integer_or("count", 1, 1, 100'000'000);
    for (std::int64_t i = 0; i < count; ++i) context.info(count == 1 ? line : line + " " + std::to_string(i));
  }
  if (fields.find("progress")) context.progress(fields.number("progress", -10, 10), fields.text_or("text", ""));
  if (fields.find("checkpoint")) context.save_checkpoint(fields.text("checkpoint"));
  if (fields.find("checkpoint_bytes")) {
    context.save_checkpoint(std::string(static_cast<std::size_t>(fields.integer("checkpoint_bytes", 0, 1 << 22)), 'c'));
  }
  if (fields.find("wait_for")) {
    const std::string file(fields.text("wait_for"));
    while (access(file.c_str(), F_OK) != 0) {
      if (context.wait(0.01)) throw rc::Cancelled();
    }
  }
  if (fields.find("scratch")) {
    said["scratch"] = context.scratch_dir();
    std::ofstream(said["scratch"] + "/" + std::string(fields.text("scratch"))) << "x";
    said["same"] = context.scratch_dir() == said["scratch"] ? "yes" : "no";
  }
  if (fields.find("thread")) {
    const std::string line(fields.text("thread"));
    std::thread other([&] { context.info(line); });
    other.join();
  }
  if (fields.find("fail")) throw std::runtime_error(std::string(fields.text("fail")));
  if (fields.find("crash")) std::abort();
  if (fields.find("hang")) {
    for (;;) pause();
  }
}

}  // namespace

RC_PLUGIN("telling", "1",
          rc::handler("telling", "Tells what it is told to", [](const msgpack::object& payload, rc::Context& context) {
            if (payload.type != msgpack::type::ARRAY) throw rc::PermanentError("payload must be a list");
            const rc::Bytes given = context.checkpoint();
            std::map<std::string, std::string> said = {{"checkpoint", std::string(given.begin(), given.end())},
                                                       {"attempt", std::to_string(context.attempt())},
                                                       {"key", std::string(context.idempotency_key())}};
            for (std::uint32_t i = 0; i < payload.via.array.size; ++i) {
              take(payload.via.array.ptr[i], context, said);
            }
            return said;
          }));
