// Text from handlers made fit for messages: the protocol takes UTF-8 only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace retire::host {

// `text` cut to `bytes_max` at a character's boundary, each byte that is not UTF-8 replaced by '?'.
std::string clean_text(std::string_view text, std::size_t bytes_max);

}  // namespace retire::host
