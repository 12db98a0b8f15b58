// Text from outside, made fit for a result.
#pragma once

#include <string>
#include <string_view>

namespace retire::handlers {

// A copy in which each ill-formed sequence became U+FFFD, as the Unicode standard recommends (one for each maximal
// part).
std::string to_utf8(std::string_view bytes);

}  // namespace retire::handlers
