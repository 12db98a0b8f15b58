// What surrounds a program, passed in so that tests can be the surroundings.
#pragma once

#include <cstddef>
#include <functional>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "common/base/time.hpp"
#include "common/config/environment.hpp"

namespace retire::cli {

struct World {
  std::istream& in;
  std::ostream& out;  // data
  std::ostream& err;  // errors and the progress bar
  config::Environment environment;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  std::size_t width = 0;  // of the terminal; 0: no limit
  // Waits; false if the user has interrupted the program.
  std::function<bool(Duration)> pause;
  // Becomes the program of that name beside this one. Returns only when it cannot, with the reason.
  std::function<std::string(const std::string& program, const std::vector<std::string>& arguments)> become;
};

// The real surroundings of this process: standard streams, terminal, interruption. To be called once, first in main().
World process_world();

}  // namespace retire::cli
