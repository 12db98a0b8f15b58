#include "common/model/messages.hpp"

#include <array>

namespace retire {
namespace {
constexpr std::array kNames = {
#define RC_MESSAGE(name, wire) std::string_view(wire),
#include "common/model/message_types.def"
#undef RC_MESSAGE
};
}  // namespace

std::string_view to_string(MessageType type) { return kNames.at(static_cast<std::size_t>(type)); }

std::optional<MessageType> parse_message_type(std::string_view wire_name) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == wire_name) return static_cast<MessageType>(i);
  }
  return std::nullopt;
}

}  // namespace retire
