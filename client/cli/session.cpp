#include "client/cli/session.hpp"

#include <algorithm>

#include "common/logging/logging.hpp"

namespace retire::cli {

Exit fail(const World& world, const std::string& program, const Error& error) {
  std::string line = error.detail;
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  }
  world.out.flush();
  world.err << program << ": " << line << std::endl;
  return config::exit_status(error.code);
}

void add_session_flags(config::Flags& flags, SessionOptions& options) {
  constexpr const char* kNoTokens = "tokens come later, until then connections are open";
  config::add_common_flags(flags, options.common);
  flags.begin_common();
  flags.add("json", options.json, "print JSON: one document with stable keys");
  flags.add("token", options.token, "credential").value_name("TOKEN").secret().later(kNoTokens);
  flags.add("token-file", options.token_file, "file that holds the credential").value_name("FILE").later(kNoTokens);
  flags.end_common();
}

std::optional<std::string> must_be_address(const std::string& text) {
  if (Address::parse(text).ok()) return std::nullopt;
  return "an address, HOST, HOST:PORT or [IPV6]:PORT, e.g. 192.168.1.100:8080";
}

void start_logging(const std::string& program, const SessionOptions& options, const config::Parsed& parsed) {
  logging::start({program, logging::parse_level(options.common.log_level).value_or(logging::Level::Info),
                  options.common.log_format == "json"});
  for (const std::string& notice : parsed.notices) logging::info("{}", notice);
}

Result<Address> main_address(const World& world, const std::string& address) {
  const std::string text = address.empty() ? config::default_address(world.environment) : address;
  Result<Address> parsed = Address::parse(text);
  if (!parsed.ok() && address.empty()) {
    return Error{ErrorCode::Configuration, "RETIRE_CLUSTER_ADDRESS: " + parsed.error().detail};
  }
  if (parsed.ok() && parsed.value().port == 0) {
    return Error{ErrorCode::Invalid, "address " + text + " has port 0; give the port that main listens on"};
  }
  return parsed;
}

Result<std::unique_ptr<client::Client>> connect(const World& world, const std::string& program,
                                                const std::string& address, const SessionOptions& options,
                                                bool notify) {
  const Result<Address> parsed = main_address(world, address);
  if (!parsed.ok()) return parsed.error();
  client::Options client_options;
  client_options.address = parsed.value();
  client_options.connect_timeout = from_seconds(options.common.connect_timeout_seconds);
  client_options.program = program;
  client_options.notify = notify;
  logging::debug("connecting to {}", parsed.value().text());
  return client::Client::connect(std::move(client_options));
}

Duration call_timeout(const SessionOptions& options) {
  return std::max(from_seconds(options.common.connect_timeout_seconds), Duration(std::chrono::seconds(30)));
}

Exit finish(const World& world, const std::string& program, Exit exit) {
  world.out.flush();
  if (world.out) return exit;
  return fail(world, program,
              Error{ErrorCode::Io, "the output could not be written: stdout is closed or its disk is full"});
}

}  // namespace retire::cli
