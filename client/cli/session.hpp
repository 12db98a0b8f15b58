// What the three programs share: the common flags, where main is, and how they fail.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/world.hpp"
#include "client/client.hpp"
#include "common/config/common_flags.hpp"

namespace retire::cli {

using config::Exit;

// "PROGRAM: what was wrong" on err, and the exit status for it.
Exit fail(const World& world, const std::string& program, const Error& error);

struct SessionOptions {
  config::CommonOptions common;
  bool json = false;
  std::string token;
  std::string token_file;
};

// The common flags, --json, --token and --token-file.
void add_session_flags(config::Flags& flags, SessionOptions& options);
// A check for flags that are addresses.
std::optional<std::string> must_be_address(const std::string& text);

// Sets logging up as the flags say and logs the notices of the parse.
void start_logging(const std::string& program, const SessionOptions& options, const config::Parsed& parsed);

// Connects to `address`, or where the environment says if it is empty. `notify`: results of posted tasks are wanted.
Result<std::unique_ptr<client::Client>> connect(const World& world, const std::string& program,
                                                const std::string& address, const SessionOptions& options,
                                                bool notify = false);
// The address connect() would use. Errors: Configuration for a wrong $RETIRE_CLUSTER_ADDRESS.
Result<Address> main_address(const World& world, const std::string& address);

// How long one question to main may take: longer than the connect timeout, so that a main that restarts is waited for.
Duration call_timeout(const SessionOptions& options);

// The status to end with: `exit`, or Failed if what was printed could not be written.
Exit finish(const World& world, const std::string& program, Exit exit);

}  // namespace retire::cli
