// JSON, where it meets people: a document to print, and text to and from msgpack.
//
// The only folder, beside client/cli which prints documents, that includes nlohmann. Threads: all functions are pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "common/base/result.hpp"
#include "common/model/task.hpp"

namespace retire::json {

// Keys keep their order, so that a document reads as its description does.
using Json = nlohmann::ordered_json;

// Maps and lists within each other, in JSON and in msgpack; what is deeper is refused.
constexpr int kDepthMax = 64;

// One JSON value as one msgpack value; appended to `out`, whose capacity is kept. Keys keep their order. A key that
// stands twice in an object is refused, for which of the two counts would be anybody's guess. Whole numbers within 64
// bits stay whole, others become floats.
// Errors: Invalid, one line that continues "… is not JSON: "; `out` is then as it was.
Status msgpack_from_json(std::string_view text, std::string& out);

// One msgpack value as JSON. What JSON lacks: bin becomes its base64 text, an extension {"ext": type, "base64": text},
// a float that is not finite null, bytes that are not UTF-8 U+FFFD, and a key that is no text its JSON.
// Errors: Malformed.
Result<Json> json_from_msgpack(ByteView msgpack);

// As json_from_msgpack(), but what cannot be read becomes {"base64": text}: for showing what somebody else wrote.
Json show_msgpack(ByteView msgpack);

// The text of a document: on one line, or indented. Never fails: bytes that are not UTF-8 are replaced.
std::string to_text(const Json& document);
std::string to_pretty_text(const Json& document);

std::string base64(ByteView bytes);

}  // namespace retire::json
