// A JSON Schema of a payload, compiled, and payloads held against it.
//
// The dialect is draft 7, its keywords and no others: one that is not known is refused, as it would be passed over in
// silence. Left out are $id below the root, references to other documents (nothing is ever fetched), keywords beside
// $ref, and what patterns cannot have in linear time: back references and look-around. `format` says nothing (as the
// draft allows), and patterns are those of RE2.
//
// A payload is msgpack. What JSON lacks (binary, extensions, numbers that are not finite) is of no type, so only a
// schema without "type" takes it.
//
// Bounds: a schema has at most kSchemaBytesMax of text and kSubschemasMax subschemas; a check takes at most
// kCheckStepsMax steps, whatever schema and payload are, which is about a second at worst. Recursion is bounded, too.
//
// Threads: a PayloadSchema does not change once it is made, and may be used by several at a time.
#pragma once

#include <memory>
#include <optional>
#include <retire_cluster/payload.hpp>
#include <string>
#include <string_view>

#include "common/base/result.hpp"

namespace retire {

namespace schema {
struct Compiled;
}

inline constexpr std::size_t kSchemaBytesMax = std::size_t{64} * 1024;
inline constexpr std::size_t kSubschemasMax = 4096;
inline constexpr std::size_t kPatternsMax = 256;
inline constexpr std::size_t kPatternBytesMax = 1024;
inline constexpr std::size_t kCheckStepsMax = 32'000'000;

// The first thing found wrong with a payload.
struct PayloadFault {
  std::string pointer;  // JSON Pointer to the field, "/headers/Accept"; empty: the payload itself
  std::string rule;     // continues the field's name: "must be a string, got integer"

  // One line for people: `field "/duration" must be a number, got string`, or `payload must be a map, got list`.
  std::string text() const;
};

class PayloadSchema {
 public:
  // Errors: Invalid, naming the place in the schema as JSON Pointer, what stands there and what is allowed.
  static Result<PayloadSchema> compile(std::string_view json_text);

  PayloadSchema(PayloadSchema&&) noexcept;
  PayloadSchema& operator=(PayloadSchema&&) noexcept;
  ~PayloadSchema();

  // True when no payload can fail, so that the caller may leave out the check, and the decoding for it.
  bool accepts_everything() const;

  // nullopt: it fits.
  std::optional<PayloadFault> check(const msgpack::object& payload) const;
  // Decodes the payload first, within the bounds of the SDK's decode(); what is beyond them is a fault.
  std::optional<PayloadFault> check(retire_cluster::Bytes payload) const;

 private:
  explicit PayloadSchema(std::unique_ptr<schema::Compiled> compiled);
  std::unique_ptr<schema::Compiled> compiled_;
};

}  // namespace retire
