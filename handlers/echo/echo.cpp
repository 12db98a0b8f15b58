#include "handlers/echo/echo.hpp"

#include <array>
#include <string>

namespace retire::handlers {
namespace {

namespace rc = retire_cluster;

constexpr std::array<std::uint8_t, 6> kHead = {0x81, 0xa4, 'e', 'c', 'h', 'o'};  // a map of one; its key
constexpr std::size_t kBufferKept = std::size_t{1024} * 1024;

}  // namespace

void Echo::run(rc::Bytes payload, rc::Context& context) {
  // Walked, not decoded: bytes that are no msgpack would make a result that nobody can read.
  if (const char* wrong = rc::check_value(payload, rc::kItemsUnlimited)) {
    throw rc::PayloadError(std::string("payload: ") + wrong);
  }
  result_.clear();
  result_.reserve(kHead.size() + payload.size());
  result_.insert(result_.end(), kHead.begin(), kHead.end());
  result_.insert(result_.end(), payload.begin(), payload.end());
  context.result(result_);
  if (result_.capacity() > kBufferKept) result_ = {};
}

}  // namespace retire::handlers
