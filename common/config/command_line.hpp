// The arguments of a process, split into flags. Private to common/config; command_line.cpp is the only place that
// includes CLI11.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "common/base/result.hpp"
#include "common/config/flags.hpp"

namespace retire::config {

class CommandLine {
 public:
  Flags* chosen = nullptr;         // the innermost sub-command given, or the program itself
  std::vector<std::string> verbs;  // the sub-commands given, outermost first
  std::vector<std::pair<Flag*, std::vector<std::string>>> values;
  bool help = false;
  bool version = false;
  bool init_config = false;

  // Errors: Invalid, naming the argument.
  static Result<CommandLine> read(Flags& flags, const std::vector<std::string>& arguments);

 private:
  struct Builder;
  static std::vector<std::string> flag_names(Flags& flags);
  static std::vector<std::string> verb_names(Flags& flags);
};

}  // namespace retire::config
