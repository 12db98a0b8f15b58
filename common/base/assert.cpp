#include "common/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace retire {

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: assertion failed: %s (a bug in Retire-Cluster, please report it)\n", file, line,
               expression);
  std::abort();
}

}  // namespace retire
