// A msgpack value as JSON text, for request bodies.
#pragma once

#include <msgpack.hpp>
#include <string>

namespace retire::handlers {

// Throws PayloadError naming `field` for what JSON does not have: binary, extensions, infinities, NaN, keys that are
// not strings, text that is not UTF-8.
std::string to_json(const msgpack::object& value, const char* field);

}  // namespace retire::handlers
