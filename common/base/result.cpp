#include "common/base/result.hpp"

namespace retire {

std::string_view to_string(ErrorCode code) {
  switch (code) {
#define RC_ERROR(name, wire, number, meaning, action) \
  case ErrorCode::name:                               \
    return wire;
#include "common/base/error_codes.def"
#undef RC_ERROR
  }
  return "internal";
}

std::optional<ErrorCode> parse_error_code(std::string_view wire_name) {
#define RC_ERROR(name, wire, number, meaning, action) \
  if (wire_name == wire) return ErrorCode::name;
#include "common/base/error_codes.def"
#undef RC_ERROR
  return std::nullopt;
}

}  // namespace retire
