// The environment of a program.
#pragma once

#include <retire_cluster/payload.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace retire::handlers {

// PATH, HOME and LANG of our own (or their usual values), and over them the entries of `wanted`, whose errors name
// "env". Each as NAME=value.
std::vector<std::string> make_environment(const retire_cluster::Fields* wanted);

// The value in such an environment; empty when it is not there.
std::string_view lookup(const std::vector<std::string>& environment, std::string_view name);

}  // namespace retire::handlers
