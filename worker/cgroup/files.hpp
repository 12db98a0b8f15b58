// Writing to the files of a control group.
#pragma once

#include <string>

#include "common/base/result.hpp"

namespace retire::cgroup {

// Into `file` of the group that `directory` is open on. Errors: Io, naming the file and the value.
Status write_to(int directory, const std::string& file, const std::string& value);
// Empty if it cannot be read.
std::string read_from(int directory, const std::string& file);
// Open on a group; -1 if it cannot be. Closed in programs that are executed.
int open_group(const std::string& path);
// Kills all in the group and in those below (Linux 5.14). Without it each is killed, and again until none is left to
// be.
void kill_all(int directory);
bool is_populated(int directory);  // a living process is in it or below

}  // namespace retire::cgroup
