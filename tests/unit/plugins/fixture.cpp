// A plugin as a third party would write it: a lambda, a class with state, and bytes.
#include <map>
#include <retire_cluster/plugin.hpp>
#include <string>

namespace rc = retire_cluster;

namespace {
class Counter {
 public:
  int run(const msgpack::object&, rc::Context&) { return ++count_; }

 private:
  int count_ = 0;
};

class Reverse {
 public:
  void run(rc::Bytes payload, rc::Context& context) { context.result(payload); }
};
}  // namespace

RC_PLUGIN_MANIFEST(R"({
  "name": "cpp", "version": "2.0",
  "needs": {"network": true},
  "limits": {"memory_mb": 256},
  "handlers": {"greet": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}}
})");

RC_PLUGIN(
    "cpp", "2.0",
    rc::handler("greet", "Greets by name",
                [](const msgpack::object& payload, rc::Context& context) {
                  const rc::Fields fields(payload, {"name"});
                  context.info("greeting");
                  return std::map<std::string, std::string>{{"greeting", "Hello, " + std::string(fields.text("name"))}};
                }),
    rc::handler<Counter>("count", "Counts its attempts"),
    rc::handler<Reverse>("bytes", "Copies", RC_OFF_BY_DEFAULT))  // no semicolon: both forms are built
