// What --help prints. Private to common/config.
#pragma once

#include <string>

#include "common/config/flags.hpp"

namespace retire::config {

class HelpWriter {
 public:
  static std::string write(Flags& flags);

 private:
  static std::string usage(Flags& flags);
  static std::string left_column(const Flag& flag);
  static std::string right_column(const Flag& flag);
  static void section(std::string& out, const std::string& title, Flags& flags, bool positional, bool common);
};

}  // namespace retire::config
