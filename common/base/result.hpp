// Operating errors as values. A mistake of our own is RC_ASSERT (assert.hpp), never an Error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "common/base/assert.hpp"

namespace retire {

enum class ErrorCode : std::uint8_t {
#define RC_ERROR(name, wire, number, meaning, action) name = number,
#include "common/base/error_codes.def"
#undef RC_ERROR
};

// The stable name on the wire and in JSON, e.g. "not_found".
std::string_view to_string(ErrorCode code);
std::optional<ErrorCode> parse_error_code(std::string_view wire_name);

// An expected failure, which the caller handles.
struct Error {
  ErrorCode code = ErrorCode::Internal;  // the caller branches on this
  std::string detail;                    // for people: what was wrong, with which value, and what to do; never parsed
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  T& value() & { return RC_ASSERT(ok()), std::get<0>(state_); }
  const T& value() const& { return RC_ASSERT(ok()), std::get<0>(state_); }
  T&& value() && { return RC_ASSERT(ok()), std::get<0>(std::move(state_)); }
  const Error& error() const { return RC_ASSERT(!ok()), std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

using Status = Result<std::monostate>;
inline Status ok_status() { return std::monostate{}; }

}  // namespace retire
