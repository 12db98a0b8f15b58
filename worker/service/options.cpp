#include "worker/service/options.hpp"

#include <charconv>

#include "common/model/limits.hpp"
#include "common/model/task.hpp"
#include "common/net/address.hpp"
#include "worker/service/cidr.hpp"

namespace retire::worker {
namespace {

std::optional<std::string> check_address(const std::string& text) {
  if (Address::parse(text).ok()) return std::nullopt;
  return "an address, HOST[:PORT] or [IPV6]:PORT";
}

// "licence=2"
std::optional<std::pair<std::string, double>> parse_resource(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals > kWordBytesMax) return std::nullopt;
  double amount = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data() + equals + 1, end, amount);
  if (error != std::errc() || at != end || !(amount >= 0 && amount <= kQuantityMax)) return std::nullopt;
  return std::pair{text.substr(0, equals), amount};
}

std::optional<std::string> check_type(const std::string& text) {
  if (is_task_type(text)) return std::nullopt;
  return "a task type of 1 to 64 characters of a-z 0-9 _ . -";
}

std::optional<std::string> check_word(const std::string& text) {
  if (!text.empty() && text.size() <= kWordBytesMax) return std::nullopt;
  return "a text of 1 to 64 bytes";
}

}  // namespace

Options default_options(const config::Environment& environment) {
  Options options;
  options.join = config::default_address(environment);
  options.data_dir = config::home_directory(environment);
  return options;
}

void declare_flags(config::Flags& flags, Options& options) {
  probe::Overrides& device = options.overrides;
  flags.add("join", options.join, "main's address").value_name("ADDRESS").check(check_address);
  flags.after([&options](const config::Parsed& parsed) -> Status {
    // The flag and its variable are checked as they are read; what stands in for them is not.
    const auto rule = parsed.given("join") ? std::nullopt : check_address(options.join);
    if (!rule) return ok_status();
    return Error{ErrorCode::Configuration, "RETIRE_CLUSTER_ADDRESS " + options.join + ": must be " + *rule};
  });
  flags.add("test", options.test, "try the connection, print this device's capabilities, and exit")
      .value_name("ADDRESS")
      .check(check_address)
      .only_flag();
  flags.add("json", options.json, "with --test: print one JSON document").only_flag();
  flags.add("device-id", options.device_id, "name of this device; kept in the data directory once made")
      .value_name("ID")
      .check([](const std::string& text) {
        return is_device_id(text) ? std::nullopt
                                  : std::optional<std::string>("1 to 128 characters of A-Z a-z 0-9 _ . : -");
      })
      .default_text("made from the host's name");
  flags.add("data-dir", options.data_dir, "where the device ID is kept; one worker at a time").value_name("DIR");
  flags.add("role", device.role, "what this device is for")
      .value_name("ROLE")
      .one_of({"worker", "compute", "storage", "mobile"})
      .default_text("guessed");
  flags.add("tag", device.tags, "a tag that tasks may require").value_name("TAG").check(check_word);
  flags.add("resource", options.resources, "so much of something that tasks may reserve, e.g. licence=2")
      .value_name("NAME=N")
      .check([](const std::string& text) {
        return parse_resource(text)
                   ? std::nullopt
                   : std::optional<std::string>("a name of 1 to 64 bytes, =, and a number of at least 0");
      });
  flags.after([&options](const config::Parsed&) -> Status {
    options.overrides.resources.clear();
    for (const std::string& text : options.resources) options.overrides.resources.push_back(*parse_resource(text));
    Requirements check;
    check.resources = options.overrides.resources;
    const Status status = normalize(check);
    return status.ok() ? ok_status() : Status(Error{ErrorCode::Invalid, "--resource: " + status.error().detail});
  });
  flags.add("slots", device.slots, "how many tasks run at once")
      .value_name("N")
      .range(1, kSlotsMax)
      .default_text("number of processors");
  flags.add("drain-timeout", options.drain_timeout_seconds, "how long running tasks may take to end on SIGTERM")
      .value_name("SECONDS")
      .range(0, 86'400);

  flags.add("plugin-dir", options.plugin_dirs, "a directory of plugins, beside the installed ones").value_name("DIR");
  flags.add("plugin-key", options.plugin_keys, "a public key; only plugins that one of them has signed are used")
      .value_name("FILE");
  flags.add("allow", options.allow, "switch on a task type that is off by default")
      .value_name("TYPE")
      .check(check_type);
  flags.add("deny", options.deny, "switch off a task type; wins over --allow").value_name("TYPE").check(check_type);
  flags.add("only", options.only, "offer these task types and no other").value_name("TYPE").check(check_type);
  flags.add("http-allow", options.http_allow, "a network that http_request may reach though it is not public")
      .value_name("CIDR")
      .check([](const std::string& text) {
        return is_cidr(text) ? std::nullopt
                             : std::optional<std::string>("an address or a network such as 10.0.0.0/8 or fd00::/8");
      });

  flags.add("cpu-count", device.cpu_count, "in place of what was measured").value_name("N").range(1, kCpuCoresMax);
  flags.add("memory-gb", device.memory_gb, "in place of what was measured").value_name("GB").range(0, kQuantityMax);
  flags.add("storage-gb", device.storage_gb, "in place of what was measured").value_name("GB").range(0, kQuantityMax);
  flags.add("gpu", device.gpu, "whether there is a graphics processor, in place of what was measured");
  flags.add("internet", device.internet, "whether the internet can be reached, in place of what was measured");
  flags.add("platform", device.platform, "in place of what was measured").value_name("NAME").check(check_word);

  declare_duty_flags(flags, options.duty);

  flags.add("sandbox", options.sandbox, "how handlers are locked in")
      .value_name("LEVEL")
      .one_of({"off", "basic", "strict"});
  flags.add("run-as", options.run_as, "the user that handlers run as, when the worker is root")
      .value_name("USER")
      .default_text("one for each host, of nobody else");
  flags.add("allow-path", options.allow_paths, "a directory that handlers may read and write").value_name("DIR");
  flags.add("handler-memory-gb", options.handler_memory_gb, "memory that each process of a handler may use")
      .value_name("GB")
      .range(0, kQuantityMax)
      .default_text("an equal share for each slot");
  flags.add("handler-processes", options.handler_processes, "processes and threads that a handler may have at once")
      .value_name("N")
      .range(8, 100'000);
  flags.add("token", options.token, "credential to join with")
      .value_name("TOKEN")
      .secret()
      .later("keys come with a later version; connections are open");
  flags.add("token-file", options.token_file, "file with the credential to join with")
      .value_name("FILE")
      .later("keys come with a later version; connections are open");
  flags.add("insecure", options.insecure, "join without keys, which is what happens in this version anyway");
  config::add_common_flags(flags, options.common);
}

}  // namespace retire::worker
