// How often a fault test repeats itself: as much as the environment says, else its default.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace retire::store {

inline std::uint64_t count_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : std::stoull(text);
}

}  // namespace retire::store
