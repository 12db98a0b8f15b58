// The handler host: runs the attempts it is given, one after the other, with handlers of one plugin.
//
// One thread. It ends with its agent: when the socket closes.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/loader/loaded_plugin.hpp"
#include "plugins/manifest/schema.hpp"
#include "worker/host/attempt_context.hpp"
#include "worker/host/leftovers.hpp"
#include "worker/host/result_ring.hpp"
#include "worker/host/setup.hpp"
#include "worker/host/shared_page.hpp"
#include "worker/host/wire.hpp"

namespace retire::host {

class HostLoop {
 public:
  // Loads the plugin from descriptor kPluginFd; `plugin_file` is its name. `policy` as it is in this process.
  HostLoop(int socket, SharedPage& page, std::string plugin_file, const sandbox::Policy& policy);

  // Until the agent closes the socket; returns the process's exit status.
  int run();

 private:
  struct Handler {
    std::string name;
    std::optional<HandlerInstance> instance;
    std::string refusal;                  // why there is none
    std::optional<PayloadSchema> schema;  // none: any payload
  };

  bool read_more();
  bool on_message(std::string_view body);
  bool on_runs(std::string_view body);
  Handler& handler(std::string_view name);
  void run_one(Handler& handler, const RunHeader& header, rc_bytes payload, std::string_view checkpoint);
  void answer(ResultHeader header, const ResultParts& parts);
  void send_large(const ResultHeader& header, const ResultParts& parts);
  void ring_doorbell();
  void write_all(const char* data, std::size_t size);

  int socket_;
  SharedPage& page_;
  std::string plugin_file_;
  std::optional<LoadedPlugin> plugin_;
  std::string plugin_refusal_;
  std::map<std::string, std::string> schemas_;  // as text, by handler
  bool has_setup_ = false;
  Setup setup_;
  std::map<std::string, Handler, std::less<>> handlers_;
  AttemptContext context_;
  RingWriter ring_;
  const sandbox::Policy policy_;
  Leftovers leftovers_;
  std::vector<char> in_;
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::string large_;
  std::int64_t now_ns_ = 0;         // end of the last attempt, which is the beginning of the next
  std::size_t gathered_bytes_ = 0;  // results the agent has not been woken for
  std::int64_t gathered_since_ns_ = 0;
};

}  // namespace retire::host
