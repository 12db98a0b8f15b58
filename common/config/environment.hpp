// What a program is told by its surroundings, read once in main() and passed on as a value.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace retire::config {

using Environment = std::map<std::string, std::string, std::less<>>;

// The environment variables of this process.
Environment process_environment();

// Empty when it is not set; a variable that is set to nothing counts as not set.
std::string_view variable(const Environment& environment, std::string_view name);

// "http-port" -> "RETIRE_CLUSTER_HTTP_PORT"
std::string variable_of_flag(std::string_view flag);

// Where state and keys live: $RETIRE_CLUSTER_HOME, else ~/.retire-cluster, else (no home directory) ./.retire-cluster.
std::string home_directory(const Environment& environment);

// Where main is looked for when nobody says: $RETIRE_CLUSTER_ADDRESS, else 127.0.0.1:8080. Not validated.
std::string default_address(const Environment& environment);

}  // namespace retire::config
