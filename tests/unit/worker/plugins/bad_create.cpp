// A plugin one of whose handlers cannot be made.
#include <retire_cluster/plugin.hpp>
#include <stdexcept>

namespace rc = retire_cluster;

struct Picky {
  explicit Picky(const rc::Setup&) { throw std::runtime_error("no moon tonight"); }
  int run(const msgpack::object&, rc::Context&) { return 1; }
};

RC_PLUGIN("bad_create", "1", rc::handler<Picky>("picky", "Never works"),
          rc::handler("easy", "Always works", [](const msgpack::object&, rc::Context&) { return 1; }));
