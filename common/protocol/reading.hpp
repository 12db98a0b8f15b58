// What the reading of most messages shares: values that may be nil, numbers, the items of a batch. Private to
// common/protocol.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.hpp"
#include "common/protocol/reader.hpp"

namespace retire::protocol {

// The end of a body: nothing may follow it.
inline Status finish(Reader& in) {
  if (!in.failed() && !in.at_end()) in.fail(ErrorCode::Malformed, "bytes after the message");
  return in.status();
}

inline std::optional<ByteView> binary_or_nil(Reader& in, std::size_t size_max) {
  if (in.is_nil()) {
    in.nil();
    return std::nullopt;
  }
  return in.binary(size_max);
}

inline std::string_view text_or_nil(Reader& in, std::size_t size_max) {
  if (in.is_nil()) {
    in.nil();
    return {};
  }
  return in.text(size_max);
}

inline void read_capped(Reader& in, std::uint32_t& out) { out = static_cast<std::uint32_t>(in.integer(UINT32_MAX)); }

inline Duration read_us(Reader& in) { return Duration(static_cast<std::int64_t>(in.integer(INT64_MAX))); }
inline Duration read_ms(Reader& in) { return Duration(static_cast<std::int64_t>(in.integer(INT64_MAX / 1000)) * 1000); }

// An item of a batch: opens it, and fails when it is shorter than `least`.
inline std::uint32_t open_item(Reader& in, std::uint32_t least) {
  const std::uint32_t count = in.array(SIZE_MAX);
  if (!in.failed() && count < least) {
    in.fail(ErrorCode::Malformed,
            "an item has at least " + std::to_string(least) + " elements, got " + std::to_string(count));
  }
  return count;
}

// Skips what a newer peer has added to an item that has `count` elements, of which `known` were read.
inline void skip_rest(Reader& in, std::uint32_t count, std::uint32_t known) {
  for (std::uint32_t i = known; i < count && !in.failed(); ++i) in.skip();
}

// Names the item in a failure that happened inside it.
inline Error in_item(const Reader& in, std::string_view list, std::size_t index) {
  Error error = in.status().error();
  error.detail = std::string(list) + "[" + std::to_string(index) + "]: " + error.detail;
  return error;
}

// A list of items into `out`, whose capacity is kept; an error names the item in which it happened.
template <class Item, class ReadItem>
std::optional<Error> read_items(Reader& in, std::string_view list, std::vector<Item>& out, ReadItem read_item) {
  const std::uint32_t count = in.array(kBatchItemsMax);
  out.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    read_item(out.emplace_back());
    if (in.failed()) return in_item(in, list, i);
  }
  in.leave();
  return std::nullopt;
}

}  // namespace retire::protocol
